"""Arguments for and against a response, written by the judge before it decides (RAFTS, contrastive arguments)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from random import Random

from reward_servers.engines.judging._backend import Asked, Backend
from reward_servers.engines.judging._completion import Completion
from reward_servers.engines.judging._ending import shown_of
from reward_servers.engines.judging._question import Question

_TASK = (
    "Criteria: {criteria}\n\nGive no verdict. Write the strongest honest argument that the response {side}, in at most "
    "150 words, and point to what in the material supports it."
)
_SIDES = ("meets the criteria", "does not meet the criteria")
_LONGEST = 4_000


@dataclass(frozen=True, slots=True)
class Argued:
    """The two arguments, and what they cost."""

    favour: str
    against: str
    completions: tuple[Completion, ...]


async def argue(question: Question, backend: Backend, *, budget: float, seed: int | None) -> Argued:
    """Have both arguments written.

    Args:
        question: The question about the response.
        backend: The judge.
        budget: Seconds for each.
        seed: Seed that is sent along; None for none.

    Raises:
        ChatError: The judge wrote none.
    """
    jitter = Random(question.seed)  # noqa: S311 - spreads retries, protects nothing

    async def written(place: int) -> Completion:
        task = _TASK.replace("{side}", _SIDES[place]).replace("{criteria}", question.criteria)
        asked = Asked(question.messages(task), None, seed, _SAMPLES + place)
        return await backend.ask(asked, budget=budget, jitter=jitter)

    favour, against = await asyncio.gather(written(0), written(1))
    said = [(shown_of(one.text) or "")[:_LONGEST].strip() for one in (favour, against)]
    return Argued(said[0], said[1], (favour, against))


_SAMPLES = 1 << 20


def in_both_orders(question: Question, argued: Argued) -> tuple[Question, Question]:
    """The question with both arguments, each of them first once."""
    return (
        replace(question, arguments=(argued.favour, argued.against)),
        replace(question, arguments=(argued.against, argued.favour)),
    )
