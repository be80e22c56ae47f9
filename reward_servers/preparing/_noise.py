"""Prompts with slips of the pen beside the clean ones (CoIPO)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from reward_servers.preparing._step import StepOptions, Table, row_name, step, text_of
from trainer_client.signals.crossprompt.coipo import perturb


class NoiseOptions(StepOptions):
    """How many noisy prompts are made, and how noisy they are."""

    copies: int = Field(1, ge=1, le=64, description="Noisy prompts for each clean one.")
    rate: float = Field(0.3, gt=0.0, le=1.0, description="Share of the words with at least four letters that slip.")


@step("noise", NoiseOptions)
def noise(row: Table, options: NoiseOptions, draws: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Each prompt clean, and again with slips of the pen: groups of the method `coipo`.

    `metadata.question` is the same for all of them, `metadata.noisy` tells them apart.
    """
    prompt, name = text_of(row, "prompt"), row_name(row)
    metadata = {**(row.get("metadata") or {}), "question": name}
    yield {**row, "rollout_id": name, "group_id": name, "metadata": {**metadata, "noisy": False}}
    for copy in range(options.copies):
        own = f"{name}/noisy-{copy + 1}"
        noisy = perturb(prompt, options.rate, draws)
        yield {**row, "rollout_id": own, "group_id": own, "prompt": noisy, "metadata": {**metadata, "noisy": True}}
