"""AutoRule (arXiv 2506.15651): rules from preferences in three stages; the check on held-out pairs is ours."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from math import ceil
from random import Random

from reward_servers.rubrics._candidates import Candidate, usable_candidates
from reward_servers.rubrics._cases import Pair
from reward_servers.rubrics._checking import tally_of
from reward_servers.rubrics._merging import merged
from reward_servers.rubrics._metered import MeteredModel
from reward_servers.rubrics._result import RubricResult, criteria_of

_WHY = (
    "Someone who knows the subject prefers response {better} to response {worse}. Reason step by step about what makes "
    "it better for the one who asked, and what the other lacks."
)
_RULES = (
    "The material is someone's reasoning about why one response to a prompt is better than another. Extract the rules "
    "that it rests on: short statements that can be true or false of a response to any prompt of this kind, each about "
    "one thing that can be checked. Name nothing that belongs to this prompt alone."
)


async def autorule(
    pairs: Sequence[Pair], metered: MeteredModel, *, min_prompts: int = 2, check: int = 8, max_criteria: int = 30
) -> RubricResult:
    """Extract rules.

    Args:
        pairs: The preferences.
        metered: The model.
        min_prompts: Prompts that a rule must come from, and must tell apart in the check. A single pair plants none.
        check: Pairs on which each rule is tried, those that it does not come from first; 0 for none, as published. It
            must tell a third of them apart: pairs that were written to agree with each other plant none while they are
            few.
        max_criteria: Rules at most, those from most prompts first.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    result = RubricResult()
    groups = await asyncio.gather(
        *(_candidates(pair, place, metered, result.dropped) for place, pair in enumerate(pairs))
    )
    rules = await merged([candidate for group in groups for candidate in group], metered)
    frequent = [rule for rule in rules if len(rule.prompts) >= min_prompts]
    result.dropped["few_prompts"] += len(rules) - len(frequent)
    result.dropped["beyond_most"] += max(0, len(frequent) - max_criteria)
    checked = await asyncio.gather(
        *(_checked(rule, pairs, metered, min_prompts, check, result) for rule in frequent[:max_criteria])
    )
    good = [(rule, tally) for rule, tally in zip(frequent[:max_criteria], checked, strict=True) if tally is not None]
    result.criteria = criteria_of([rule.text for rule, _ in good])
    result.told = [tally for _, tally in good]
    return result


async def _candidates(pair: Pair, place: int, metered: MeteredModel, dropped: Counter[str]) -> list[Candidate]:
    """The rules of one pair, from the reasoning about it."""
    swapped = Random(metered.seed_of(pair.prompt, str(place))).random() < 0.5  # noqa: S311 - which one comes first
    responses_shown = (pair.rejected, pair.chosen) if swapped else (pair.chosen, pair.rejected)
    task = _WHY.replace("{better}", "B" if swapped else "A").replace("{worse}", "A" if swapped else "B")
    material = {"PROMPT": pair.prompt, "RESPONSE A": responses_shown[0], "RESPONSE B": responses_shown[1]}
    reply = await metered.write(task, material, {"reasoning": "..."})
    if reply is None or not isinstance(reply["reasoning"], str) or not reply["reasoning"].strip():
        return []
    rules = await metered.write(_RULES, {"REASONING": reply["reasoning"]}, {"rules": ["The response ...", "..."]})
    if rules is None:
        return []
    return usable_candidates(rules["rules"], pair.prompt, (pair.prompt, pair.chosen, pair.rejected), dropped)


async def _checked(
    rule: Candidate, pairs: Sequence[Pair], metered: MeteredModel, min_prompts: int, check: int, result: RubricResult
) -> str | None:
    """What is known of a rule; None where the pairs speak against it."""
    support = f"from {len(rule.prompts)} prompts"
    if not check:
        return support
    shuffled = list(pairs)
    Random(metered.seed_of(rule.text)).shuffle(shuffled)  # noqa: S311 - a sample of pairs is no secret
    shuffled.sort(key=lambda pair: pair.prompt in rule.prompts)
    tried = shuffled[:check]
    needed = max(min_prompts, ceil(len({pair.prompt for pair in tried}) / 3))
    tally = await tally_of(rule.text, tried, metered)
    if tally.right < needed or tally.right <= tally.wrong:
        result.dropped["tells_no_pairs_apart"] += 1
        return None
    return f"{support}; right on {tally.right} and wrong on {tally.wrong} of {len(tried)} pairs"
