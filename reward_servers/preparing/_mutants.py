"""Faulty copies of programs, for tests that are to find them (GRPO-SMu)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import Field

from reward_servers.engines.mutation import mutants_of
from reward_servers.preparing._step import RowError, StepOptions, Table, step, text_of


class MutantOptions(StepOptions):
    """How many faulty copies are made."""

    count: int = Field(8, ge=1, le=64, description="Faulty copies of each program, at most.")


@step("mutants", MutantOptions)
def mutants(row: Table, options: MutantOptions, _: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Faulty copies of `reference.program` (Python) as `reference.mutants`, for the verifier `mutation`.

    `faults` says what is wrong with each. Look at them: one that behaves as the original does cannot be found.
    """
    reference = row.get("reference")
    if not isinstance(reference, dict):
        raise RowError("reference: expected an object with a program")
    try:
        faulty = mutants_of(text_of(reference, "program"), options.count, options.seed)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise RowError(f"reference.program: is no Python: {error}") from None
    if not faulty:
        raise RowError("reference.program: there is nothing to change in it")
    extended = {**reference, "mutants": [mutant.source for mutant in faulty]}
    yield {**row, "reference": extended, "faults": [mutant.change for mutant in faulty]}
