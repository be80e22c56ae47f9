"""CDRRM: each response is diagnosed alone, a rubric is written from the contrast, and has to find the better one.

Source: CDRRM, ldcan/CDRRM rubric_synthesis/, sft_data_synthesis/filter_inconsistent_rubrics.py @100601c6. Deciding a
pair criterion by criterion instead of by one comparison is ours.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from random import Random
from typing import Any

from reward_servers.engines.citations import quotes_words
from reward_servers.rubrics._candidates import fault_of, words_of
from reward_servers.rubrics._cases import Pair
from reward_servers.rubrics._checking import points_of
from reward_servers.rubrics._metered import MeteredModel
from reward_servers.rubrics._result import RubricResult

_DIAGNOSE = (
    "Diagnose the response alone. For each thing that the prompt asks for, expressly or by its nature, one finding: "
    "the criterion, its status (pass, fail, partial or not_applicable), its severity from 0 to 3, what you claim, the "
    "words of the response that show it between double quotation marks (needed for fail and partial; for something "
    "that is absent, the words where it is missing), and the words of the prompt that ask for it."
)
_FINDING = {
    "criterion": "...", "status": "fail", "severity": 2, "claim": "...", "evidence": '"..."', "anchor": "..."
}  # fmt: skip
_SYNTHESISE = (
    "The material holds a prompt and the findings about two responses to it; which is better is not said. Write a "
    "rubric that tells a good response to this prompt from a weak one: as few hard rules as possible, each about one "
    "thing that can be checked, and a few principles for what is a matter of degree. A hard rule says what a response "
    "does, and is of the kind must or forbid. Use nothing that only these two responses could meet."
)
_EXAMPLE = {"hard_rules": [{"kind": "must", "criterion": "The response ..."}], "principles": ["The response ..."]}
_PRINCIPLE = 0.01
"""Weight of a principle: all together they only break ties between hard rules."""
_MOST_RULES, _MOST_PRINCIPLES = 12, 6


async def cdrrm(pairs: Sequence[Pair], metered: MeteredModel) -> RubricResult:
    """Write a rubric for each prompt.

    A rubric that does not put the better response of its pair first, a tie included, takes all pairs of its prompt
    out. Of several pairs of a prompt the rubrics are joined.

    Raises:
        ModelUnavailableError: The model cannot be asked any further.
    """
    result = RubricResult()
    drafts = await asyncio.gather(*(_rubric(pair, metered, result) for pair in pairs))
    by_prompt: dict[str, list[list[dict[str, Any]] | None]] = {}
    for pair, criteria in zip(pairs, drafts, strict=True):
        by_prompt.setdefault(pair.prompt, []).append(criteria)
    for prompt, rubrics in by_prompt.items():
        rubrics_found = [rubric for rubric in rubrics if rubric is not None]
        if len(rubrics_found) < len(rubrics):
            result.dropped["inconsistent_prompts"] += 1
            continue
        result.prompts.append({"prompt": prompt, "criteria": _joined(rubrics_found)})
    result.facts["prompts"] = len(result.prompts)
    return result


async def _rubric(pair: Pair, metered: MeteredModel, result: RubricResult) -> list[dict[str, Any]] | None:
    """The rubric of one pair; None where there is none, or it does not find the better response."""
    diagnoses = await asyncio.gather(
        *(_diagnosis(pair.prompt, response, metered) for response in (pair.chosen, pair.rejected))
    )
    if None in diagnoses:
        return None
    # In an order of its own: the place must not tell which was better.
    diagnosis_texts = [json.dumps(diagnosis, ensure_ascii=False, indent=1) for diagnosis in diagnoses]
    Random(metered.seed_of(pair.prompt, pair.chosen, pair.rejected)).shuffle(diagnosis_texts)  # noqa: S311 - an order is no secret
    material = {"PROMPT": pair.prompt, "FINDINGS A": diagnosis_texts[0], "FINDINGS B": diagnosis_texts[1]}
    reply = await metered.write(_SYNTHESISE, material, _EXAMPLE)
    criteria = _criteria(reply, pair, result) if reply is not None else []
    points = await points_of(criteria, pair, metered) if criteria else None
    if points is None or points[0] <= points[1]:
        result.dropped["inconsistent"] += 1
        return None
    return criteria


async def _diagnosis(prompt: str, response: str, metered: MeteredModel) -> list[dict[str, Any]] | None:
    """Findings about a response; those that say it fails without quoting it are left out."""
    reply = await metered.write(_DIAGNOSE, {"PROMPT": prompt, "RESPONSE": response}, {"findings": [_FINDING]})
    if reply is None or not isinstance(reply["findings"], list):
        return None
    findings = [
        finding
        for finding in reply["findings"]
        if isinstance(finding, dict) and isinstance(finding.get("criterion"), str)
    ]
    findings_kept = []
    for finding in findings:
        is_shown = quotes_words(str(finding.get("evidence", "")), response)
        if is_shown or finding.get("status") not in ("fail", "partial"):
            findings_kept.append({name: finding.get(name) for name in ("criterion", "status", "severity", "claim")})
    return findings_kept[:20]


def _criteria(reply: dict[str, Any], pair: Pair, result: RubricResult) -> list[dict[str, Any]]:
    sources = (pair.chosen, pair.rejected)
    criteria: list[dict[str, Any]] = []
    rules = reply["hard_rules"] if isinstance(reply["hard_rules"], list) else []
    for rule in rules[:_MOST_RULES]:
        text = rule.get("criterion") if isinstance(rule, dict) else None
        if why := fault_of(text, sources):
            result.dropped[why] += 1
        else:
            kind = "pitfall" if rule.get("kind") == "forbid" else "must"
            criteria.append({"id": f"rule_{len(criteria) + 1}", "text": " ".join(str(text).split()), "kind": kind})
    if not criteria:
        return []
    principles = reply["principles"] if isinstance(reply["principles"], list) else []
    usable_principles = [principle for principle in principles[:_MOST_PRINCIPLES] if not fault_of(principle, sources)]
    result.dropped["principles"] += len(principles) - len(usable_principles)
    return criteria + [
        {"id": f"principle_{number}", "text": " ".join(str(text).split()), "weight": _PRINCIPLE}
        for number, text in enumerate(usable_principles, 1)
    ]


def _joined(rubrics: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One rubric of several about one prompt, criteria of the same words once."""
    by_words: dict[str, dict[str, Any]] = {}
    for criteria in rubrics:
        for criterion in criteria:
            by_words.setdefault(" ".join(words_of(criterion["text"])), criterion)
    counts: dict[str, int] = {}
    joined = []
    for criterion in sorted(by_words.values(), key=lambda entry: entry["id"].startswith("principle")):
        name = criterion["id"].rpartition("_")[0]
        counts[name] = counts.get(name, 0) + 1
        joined.append({**criterion, "id": f"{name}_{counts[name]}"})
    return joined
