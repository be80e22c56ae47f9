"""Better and worse versions of a reasoning, and the pairs that train its reward model (Posterior-GRPO)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from pydantic import Field

from reward_servers.engines.text import TAG_NAME, tagged
from reward_servers.preparing._step import RejectedRow, RowError, StepOptions, Table, row_name, step, text_of

_KINDS = {
    "optimised": "Improve the reasoning below in this respect and in no other: {respect}.",
    "degraded": "Make the reasoning below worse in this respect and in no other, so that it still looks plausible: "
    "{respect}.",
}
_REST = "Keep its length and style. Write the new reasoning alone.\n\nProblem:\n{prompt}\n\nReasoning:\n{reasoning}"
_ORDER = ("optimised", "base", "degraded")


class RewriteOptions(StepOptions):
    """In which respects a reasoning is rewritten."""

    respects: tuple[str, ...] = Field(
        ("factual accuracy", "logical rigour", "coherence"), min_length=1, description="Each makes two requests."
    )
    tag: str = Field("think", pattern=TAG_NAME, description="Tag around the reasoning in the response.")


@step("rewrites", RewriteOptions)
def rewrites(row: Table, options: RewriteOptions, _: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Requests to a model to write the reasoning of a `response` better, and worse, in one respect after the other.

    Have a model answer each `prompt`, put what it writes into `response`, and give the file to `reasoning-pairs`.
    """
    prompt, name = text_of(row, "prompt"), row_name(row)
    texts = tagged(text_of(row, "response"), options.tag)
    reasoning = (texts[-1] or "").strip() if texts else ""
    if not reasoning:
        raise RowError(f"response: there is no <{options.tag}> with words in it")
    for respect in options.respects:
        for kind, request in _KINDS.items():
            own = f"{name}/{respect}/{kind}"
            prompt_text = f"{request.format(respect=respect)} {_REST.format(prompt=prompt, reasoning=reasoning)}"
            about = {"of": name, "question": prompt, "base": reasoning, "respect": respect, "kind": kind}
            yield {"rollout_id": own, "group_id": own, "prompt": prompt_text, "metadata": about}


@step("reasoning-pairs", StepOptions, gathered=True)
def reasoning_pairs(rows: Sequence[tuple[int, Table]], _: StepOptions) -> Iterator[dict[str, Any] | RejectedRow]:
    """Pairs for `assay train preference` out of answered `rewrites`: better above base, base above worse.

    The better version stands above the worse one, too. A version that says the same as another makes no pair with it.
    """
    versions: dict[tuple[str, str], dict[str, str]] = {}
    questions: dict[tuple[str, str], str] = {}
    for number, row in rows:
        about = row.get("metadata")
        try:
            if not isinstance(about, Mapping) or about.get("kind") not in _KINDS:
                raise RowError("metadata: expected what `rewrites` wrote, with `kind` optimised or degraded")
            of, question, base, respect = (text_of(about, name) for name in ("of", "question", "base", "respect"))
            text = text_of(row, "response").strip()
            if not text:
                raise RowError("response: is blank")
        except RowError as error:
            yield RejectedRow(number, str(error))
            continue
        questions[of, respect] = question
        versions.setdefault((of, respect), {"base": base.strip()})[about["kind"]] = text
    for (of, respect), texts in versions.items():
        for better, worse in combinations([kind for kind in _ORDER if kind in texts], 2):
            if texts[better] != texts[worse]:
                pair = {"prompt": questions[of, respect], "chosen": texts[better], "rejected": texts[worse]}
                yield {**pair, "metadata": {"of": of, "respect": respect, "better": better, "worse": worse}}
