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

from reward_servers.rubrics._candidates import Candidate, taken, words_of
from reward_servers.rubrics._cases import Case, Pair
from reward_servers.rubrics._checking import agreement_of
from reward_servers.rubrics._merging import merged
from reward_servers.rubrics._metered import MeteredModel
from reward_servers.rubrics._result import Made, criteria_of

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
    least: int = 2,
    most: int = 30,
    frozen: Sequence[Pair] = (),
) -> Made:
    """Refine a rubric.

    Args:
        cases: What it scored.
        items: Its criteria; none for a first version.
        metered: The meta-judge.
        each: Cases from the low, the middle and the high third of the scores.
        least: Prompts whose refinements must hold an item; one response plants none.
        most: Items at most.
        frozen: Pairs with which the new rubric must agree at least as often as the old one.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    made = Made()
    chosen = sampled(cases, each, metered)
    scores = [case.score for case in cases]
    bounds = {"{low}": f"{min(scores):.4g}", "{high}": f"{max(scores):.4g}"}
    texts = [str(one["text"]) for one in items if one.get("text") and not _is_fixed(one)]
    found = await asyncio.gather(*(_proposal(case, texts, bounds, metered, made.dropped) for case in chosen))
    rules = await merged([one for group in found for one in group], metered)
    kept = [one for one in rules if len(one.prompts) >= least]
    made.dropped["few_prompts"] += len(rules) - len(kept)
    made.dropped["beyond_most"] += max(0, len(kept) - most)
    proposed = {_key(one.text): one.text for one in kept[:most]}
    same = _left(items, proposed)
    new = [text for key, text in proposed.items() if key not in {_key(str(one.get("text", ""))) for one in items}]
    used = {str(one["id"]) for one in items}
    numbered = [one for one in criteria_of([""] * (len(new) + len(used)), "item") if one["id"] not in used]
    made.criteria = [*same, *({**one, "text": text} for one, text in zip(numbered, new, strict=False))]
    made.told = ["kept"] * len(same) + ["new"] * len(new)
    made.facts |= {"cases": len(chosen), "removed": len(items) - len(same)}
    if frozen and made.criteria:
        after = await agreement_of(_judged(made.criteria), frozen, metered)
        before = await agreement_of(_judged(items), frozen, metered) if items else None
        made.facts |= {"agreement": after, "agreement_before": before}
        made.better = after is not None and after >= (0.5 if before is None else before)
    return made


def _key(text: str) -> str:
    return " ".join(words_of(text))


def _is_fixed(one: Mapping[str, Any]) -> bool:
    """Whether an item is no matter for a meta-judge: what a pattern or a verifier decides, and what costs.

    It reads responses, which would be better off without a penalty.
    """
    costs = one.get("kind") == "pitfall" or float(one.get("weight", 1.0)) < 0
    return bool(not one.get("text") or one.get("pattern") or one.get("check") or costs)


def _left(items: Sequence[Mapping[str, Any]], proposed: Container[str]) -> list[dict[str, Any]]:
    """The items that stay, as they are and in their order, which an aggregate may go by.

    Those that are fixed, those that are proposed again word by word, and what these require.
    """
    stays = {str(one["id"]) for one in items if _is_fixed(one) or _key(str(one["text"])) in proposed}
    waiting = list(stays)
    needs = {str(one["id"]): [str(other) for other in one.get("requires", ())] for one in items}
    while waiting:
        more = [other for other in needs[waiting.pop()] if other not in stays]
        stays.update(more)
        waiting += more
    return [dict(one) for one in items if str(one["id"]) in stays]


def sampled(cases: Sequence[Case], each: int, metered: MeteredModel) -> list[Case]:
    """Some cases of the low, the middle and the high third of the scores, as MPO draws them."""
    ordered = sorted(cases, key=lambda case: case.score)
    drawn = Random(metered.seed_of(str(len(cases))))  # noqa: S311 - a sample is no secret
    bounds = [round(len(ordered) * third / 3) for third in range(4)]
    parts = [ordered[low:high] for low, high in pairwise(bounds)]
    return [case for part in parts for case in drawn.sample(part, min(each, len(part)))]


async def _proposal(
    case: Case, items: Sequence[str], bounds: Mapping[str, str], metered: MeteredModel, dropped: Counter[str]
) -> list[Candidate]:
    task = _REFINE.replace("{score}", f"{case.score:.4g}")
    for mark, value in bounds.items():
        task = task.replace(mark, value)
    material = {"PROMPT": case.prompt, "RESPONSE": case.response, "RUBRIC": "\n".join(items) or _NONE}
    said = await metered.write(task, material, {"analysis": "...", "items": ["The response ...", "..."]})
    if said is None:
        return []
    known = {_key(one) for one in items}
    listed = said["items"] if isinstance(said["items"], list) else []
    own = [one for one in listed if isinstance(one, str) and _key(one) in known]
    # What the rubric says already is not checked again.
    kept = [Candidate(" ".join(one.split()), frozenset((case.prompt,))) for one in dict.fromkeys(own)]
    return kept + taken([one for one in listed if one not in own], case.prompt, (case.prompt, case.response), dropped)


def _judged(criteria: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The criteria that the judge decides by yes and no."""
    return [one for one in criteria if one.get("text") and not one.get("pattern") and not one.get("check")]
