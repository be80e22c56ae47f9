"""What the questions of one response and one prompt share."""

from __future__ import annotations

from collections.abc import Sequence

from tests.verifiers.harness import rollout
from tests.verifiers.judging import judging, served, shown


def _shared_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    shortest = min(len(one), len(other))
    return next((place for place in range(shortest) if one[place] != other[place]), shortest)


async def test_questions_share_what_a_prefix_cache_can_keep() -> None:
    fake = served(lambda request, number: "correct: yes")
    prompt, response = "Explain it. " * 60, "A sentence of the response that says little. " * 150
    async with judging(fake) as running:
        for criteria in ("It names the year.", "It is polite."):
            await running.verdict("judge", rollout(response, prompt=prompt), {"criteria": criteria})
        await running.verdict("judge", rollout(f"Another: {response}", prompt=prompt, rollout_id="s"))
    first, second, sibling = map(shown, fake.requests)
    assert _shared_prefix(first, second) >= 0.95 * min(len(first), len(second))
    assert _shared_prefix(first, sibling) >= len(prompt)


async def test_ten_criteria_cost_little_more_prefill_than_one() -> None:
    fake = served(lambda request, number: "correct: yes")
    response = "word " * 1_500
    # About 30 tokens each; characters are counted, as no tokenizer is at hand.
    text = "Criterion {}: the response names its source, says who measured it and when, and how far to trust it."
    criteria = [text.format(number) for number in range(10)]
    async with judging(fake) as running:
        for one in criteria:
            await running.verdict("judge", rollout(response, prompt="Explain it."), {"criteria": one})
    cached: list[str] = []
    prefill = []
    for said in map(shown, fake.requests):
        prefill.append(len(said) - max((_shared_prefix(said, other) for other in cached), default=0))
        cached.append(said)
    assert sum(prefill) <= 1.2 * prefill[0]
