"""How different the responses to one prompt are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from reward_servers import Group, ItemLimits, Options, Score, verifier
from reward_servers.engines import similarity
from reward_servers.engines.text import visible
from reward_servers.verifiers.groups._sizes import too_large

_MOST = 128
_WORDS = 4000


class DiversityOptions(Options):
    """How the likeness of two responses is measured."""

    metric: Literal["rouge1", "rouge2", "rougeL"] = Field("rougeL", description="Likeness of two responses.")


@verifier(
    "diversity",
    version="1",
    scope="group",
    limits=ItemLimits(cpu_s=60.0, wall_s=180.0, response_bytes=1 << 18),
    aspects={"nearest": 1.0},
    libraries=("rapidfuzz",),
)
def diversity(group: Group, options: DiversityOptions) -> Sequence[Score]:
    """One less the mean likeness of a response to the others of its group, in the words that are visible.

    A response without words gets the floor and is no neighbour to the others; alone, a response gets 1. Of each
    response the first 4,000 words are compared.

    Source: one less the mean pairwise similarity, as Self-BLEU (arXiv 1802.01886) measures it, with another
    likeness.
    """
    if (refused := too_large(group, _MOST)) is not None:
        return refused
    texts = [similarity.words(visible(member.response, member.reasoning_marks).text)[:_WORDS] for member in group]
    size = len(texts)
    alike = [[0.0] * size for _ in range(size)]
    for later in range(size):
        for earlier in range(later):
            if texts[later] and texts[earlier]:
                alike[later][earlier] = alike[earlier][later] = similarity.rouge(texts[later], texts[earlier])[
                    options.metric
                ]
    scores = []
    for place, text in enumerate(texts):
        others = [alike[place][sibling] for sibling in range(size) if sibling != place and texts[sibling]]
        if not text:
            scores.append(Score.floor("no_answer", "there are no words"))
            continue
        mean = sum(others) / len(others) if others else 0.0
        scores.append(Score(1.0 - mean, aspects={"nearest": max(others, default=0.0)}))
    return scores
