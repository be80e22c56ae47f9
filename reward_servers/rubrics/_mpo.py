"""MPO (arXiv 2504.20157): a meta-judge reads what a rubric scored, and refines the rubric.

Source: minnesotanlp/mpo trl/extras/mpo, trl/trainer/mpo_trainer.py @19972d3b. The check before a new version is used is
ours: a rubric that agrees less with frozen pairs than the one before is not.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

from reward_servers.rubrics._candidates import Candidate, usable_candidates, words_of
from reward_servers.rubrics._cases import Case, Pair
from reward_servers.rubrics._checking import agreement_of
from reward_servers.rubrics._merging import merged
from reward_servers.rubrics._metered import MeteredModel
from reward_servers.rubrics._result import RubricResult, criteria_of

_REFINE = (
    "A judge scored the response by the rubric in the material, whose items are listed there, and gave {score}. Scores "
    "in this run go from {low} to {high}. Analyse where the rubric is too lenient, too strict, or lets a response earn "
    "what it does not deserve. Then write the whole refined rubric: items that can be true or false of a response to "
    "any prompt of this kind, each about one thing that can be checked. Keep what works, word by word. Name nothing "
    "that belongs to this prompt alone."
)
_NONE = "(There are no items yet: write the first ones.)"


async def mpo(
    cases: Sequence[Case],
    items: Sequence[Mapping[str, Any]],
    metered: MeteredModel,
    *,
    each: int = 2,
    min_prompts: int = 2,
    max_criteria: int = 30,
    frozen: Sequence[Pair] = (),
) -> RubricResult:
    """Refine a rubric.

    Args:
        cases: What it scored.
        items: Its criteria; none for a first version.
        metered: The meta-judge.
        each: Cases from the low, the middle and the high third of the scores.
        min_prompts: Prompts whose refinements must hold an item; one response plants none.
        max_criteria: Items at most.
        frozen: Pairs with which the new rubric must agree at least as often as the old one.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    result = RubricResult()
    chosen = sampled(cases, each, metered)
    scores = [case.score for case in cases]
    bounds = {"{low}": f"{min(scores):.4g}", "{high}": f"{max(scores):.4g}"}
    texts = [str(item["text"]) for item in items if item.get("text") and not _is_fixed(item)]
    proposals = await asyncio.gather(*(_proposal(case, texts, bounds, metered, result.dropped) for case in chosen))
    rules = await merged([candidate for group in proposals for candidate in group], metered)
    frequent = [rule for rule in rules if len(rule.prompts) >= min_prompts]
    result.dropped["few_prompts"] += len(rules) - len(frequent)
    result.dropped["beyond_most"] += max(0, len(frequent) - max_criteria)
    proposed = {_key(candidate.text): candidate.text for candidate in frequent[:max_criteria]}
    unchanged = _remaining_items(items, proposed)
    new = [text for key, text in proposed.items() if key not in {_key(str(item.get("text", ""))) for item in items}]
    used = {str(item["id"]) for item in items}
    numbered = [
        criterion for criterion in criteria_of([""] * (len(new) + len(used)), "item") if criterion["id"] not in used
    ]
    result.criteria = [
        *unchanged,
        *({**criterion, "text": text} for criterion, text in zip(numbered, new, strict=False)),
    ]
    result.told = ["kept"] * len(unchanged) + ["new"] * len(new)
    result.facts |= {"cases": len(chosen), "removed": len(items) - len(unchanged)}
    if frozen and result.criteria:
        after = await agreement_of(_judged(result.criteria), frozen, metered)
        before = await agreement_of(_judged(items), frozen, metered) if items else None
        result.facts |= {"agreement": after, "agreement_before": before}
        result.better = after is not None and after >= (0.5 if before is None else before)
    return result


def _key(text: str) -> str:
    return " ".join(words_of(text))


def _is_fixed(criterion: Mapping[str, Any]) -> bool:
    """Whether an item is no matter for a meta-judge: what a pattern or a verifier decides, and what costs.

    It reads responses, which would be better off without a penalty.
    """
    costs = criterion.get("kind") == "pitfall" or float(criterion.get("weight", 1.0)) < 0
    return bool(not criterion.get("text") or criterion.get("pattern") or criterion.get("check") or costs)


def _remaining_items(items: Sequence[Mapping[str, Any]], proposed: Container[str]) -> list[dict[str, Any]]:
    """The items that stay, as they are and in their order, which an aggregate may go by.

    Those that are fixed, those that are proposed again word by word, and what these require.
    """
    stays = {str(item["id"]) for item in items if _is_fixed(item) or _key(str(item["text"])) in proposed}
    waiting = list(stays)
    needs = {str(item["id"]): [str(required) for required in item.get("requires", ())] for item in items}
    while waiting:
        more = [required for required in needs[waiting.pop()] if required not in stays]
        stays.update(more)
        waiting += more
    return [dict(item) for item in items if str(item["id"]) in stays]


def sampled(cases: Sequence[Case], each: int, metered: MeteredModel) -> list[Case]:
    """Some cases of the low, the middle and the high third of the scores, as MPO draws them."""
    ordered = sorted(cases, key=lambda case: case.score)
    draws = Random(metered.seed_of(str(len(cases))))  # noqa: S311 - a sample is no secret
    bounds = [round(len(ordered) * third / 3) for third in range(4)]
    parts = [ordered[low:high] for low, high in pairwise(bounds)]
    return [case for part in parts for case in draws.sample(part, min(each, len(part)))]


async def _proposal(
    case: Case, items: Sequence[str], bounds: Mapping[str, str], metered: MeteredModel, dropped: Counter[str]
) -> list[Candidate]:
    task = _REFINE.replace("{score}", f"{case.score:.4g}")
    for mark, value in bounds.items():
        task = task.replace(mark, value)
    material = {"PROMPT": case.prompt, "RESPONSE": case.response, "RUBRIC": "\n".join(items) or _NONE}
    reply = await metered.write(task, material, {"analysis": "...", "items": ["The response ...", "..."]})
    if reply is None:
        return []
    known_keys = {_key(item) for item in items}
    listed = reply["items"] if isinstance(reply["items"], list) else []
    own = [item for item in listed if isinstance(item, str) and _key(item) in known_keys]
    # What the rubric says already is not checked again.
    candidates = [Candidate(" ".join(text.split()), frozenset((case.prompt,))) for text in dict.fromkeys(own)]
    return candidates + usable_candidates(
        [item for item in listed if item not in own], case.prompt, (case.prompt, case.response), dropped
    )


def _judged(criteria: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The criteria that the judge decides by yes and no."""
    return [
        criterion
        for criterion in criteria
        if criterion.get("text") and not criterion.get("pattern") and not criterion.get("check")
    ]
