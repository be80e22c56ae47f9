"""What a criterion is worth on the data: whether it holds of better responses and not of worse ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers.rubrics._cases import Pair
from reward_servers.rubrics._metered import MeteredModel


@dataclass(frozen=True, slots=True)
class Tally:
    """On how many prompts a criterion tells a pair apart.

    Attributes:
        right: It holds of the better response alone.
        wrong: It holds of the worse response alone.
    """

    right: int
    wrong: int


async def tally_of(text: str, pairs: Sequence[Pair], metered: MeteredModel) -> Tally:
    """Ask about both responses of some pairs.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """

    async def answers_of_pair(pair: Pair) -> tuple[bool | None, bool | None]:
        return await metered.meets(text, pair.prompt, pair.chosen), await metered.meets(
            text, pair.prompt, pair.rejected
        )

    answers_of_pairs = await asyncio.gather(*map(answers_of_pair, pairs))
    complete = [
        (pair.prompt, *answers) for pair, answers in zip(pairs, answers_of_pairs, strict=True) if None not in answers
    ]
    return Tally(
        len({prompt for prompt, better, worse in complete if better and not worse}),
        len({prompt for prompt, better, worse in complete if worse and not better}),
    )


async def points_of(
    criteria: Sequence[Mapping[str, Any]], pair: Pair, metered: MeteredModel
) -> tuple[float, float] | None:
    """The sums of what both responses of a pair meet; None where some criterion got no verdict.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """

    async def total(response: str) -> float | None:
        verdicts = await asyncio.gather(
            *(metered.meets(criterion["text"], pair.prompt, response) for criterion in criteria)
        )
        if None in verdicts:
            return None
        return sum(_points(criterion) for criterion, holds in zip(criteria, verdicts, strict=True) if holds)

    better, worse = await asyncio.gather(total(pair.chosen), total(pair.rejected))
    return None if better is None or worse is None else (better, worse)


async def agreement_of(
    criteria: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], metered: MeteredModel
) -> float | None:
    """Share of pairs in which a rubric puts the better response first, a tie being half; None where none was judged.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    points = await asyncio.gather(*(points_of(criteria, pair, metered) for pair in pairs))
    points_known = [value for value in points if value is not None]
    if not points_known:
        return None
    return sum(1.0 if better > worse else 0.5 if better == worse else 0.0 for better, worse in points_known) / len(
        points_known
    )


def _points(criterion: Mapping[str, Any]) -> float:
    weight = float(criterion.get("weight", 1.0))
    return -abs(weight) if criterion.get("kind") == "pitfall" else weight
