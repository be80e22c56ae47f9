"""Whole corpora: authored cases, their twins, and public rollouts with their labels."""

import json
from collections import defaultdict
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import Any

import pytest

from reward_servers.engines.math import CompiledGold, Gold, Outcome, compile_gold, judge

CHOICES = Path(__file__).parents[2] / "data" / "verifiers" / "choice.jsonl"
DATA = Path(__file__).parents[2] / "data" / "math"


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def by_category() -> dict[str, list[dict[str, Any]]]:
    found = defaultdict(list)
    for row in rows("cases.jsonl"):
        found[row["metadata"]["category"]].append(row)
    return dict(found)


CATEGORIES = by_category()


@pytest.mark.parametrize("category", sorted(CATEGORIES))
def test_every_authored_case(category: str) -> None:
    wrong = []
    for row in CATEGORIES[category]:
        judgement = judge(row["response"], str(row["reference"]["answer"]))
        if judgement.correct != (row["expected"]["score"] == 1.0):
            wrong.append((row["rollout_id"], judgement))
    assert not wrong


@pytest.mark.parametrize("group", ["forms", "spoof"])
def test_twins(group: str) -> None:
    wrong = []
    for row in rows("twins.jsonl"):
        if row["group"] == group:
            judgement = judge(row["response"], row["gold"])
            if judgement.correct != row["expected"] or not judgement.outcome.is_verdict:
                wrong.append((row["gold"], row["response"], judgement))
    assert not wrong


PROBES = sorted({row["group"] for row in rows("probes.jsonl")})


@pytest.mark.parametrize("group", PROBES)
def test_probes(group: str) -> None:
    """Cases written without a look at the engine, each labelled by mathematical truth and the default policy."""
    wrong = []
    for row in rows("probes.jsonl"):
        if row["group"] == group:
            judgement = judge(row["response"], row["gold"])
            if judgement.correct != row["expected"] or not judgement.outcome.is_verdict:
                wrong.append((row["gold"], row["response"], judgement))
    assert not wrong


KINDS = sorted({row["group"] for row in rows("kinds.jsonl")})


@pytest.mark.parametrize("group", KINDS)
def test_kinds(group: str) -> None:
    """Kinds of answers, each with what is right and what only looks right."""
    wrong = []
    for row in rows("kinds.jsonl"):
        if row["group"] == group:
            spec = row["gold"] if isinstance(row["gold"], dict) else {"answer": row["gold"]}
            gold = Gold(
                (spec["answer"],),
                hint=spec.get("hint"),
                options=tuple(sorted(spec.get("choices", {}).items())),
                integers=tuple(spec.get("integers", ())),
            )
            judgement = judge(row["response"], gold)
            if judgement.correct != row["expected"] or not judgement.outcome.is_verdict:
                wrong.append((spec, row["response"], judgement))
    assert not wrong


def test_answers_to_other_questions_are_wrong() -> None:
    """Golds paired at random are hardly ever equal, and where they are, each answers the other.

    The few exceptions are the rules that look from the gold to the answer on purpose, such as percent.
    """
    rng = Random(11)
    golds = sorted({row["gold"] for row in rows("probes.jsonl")} | {row["gold"] for row in rows("twins.jsonl")})
    compiled = [compile_gold(gold) for gold in golds]
    accepted = []
    for _ in range(20_000):
        gold, answer = rng.choice(compiled), rng.choice(golds)
        if gold.source != answer and judge(f"\\boxed{{{answer}}}", gold).correct:
            accepted.append((gold.source, answer))
    one_way = [pair for pair in accepted if not judge(f"\\boxed{{{pair[0]}}}", pair[1]).correct]
    assert len(accepted) < 60, accepted
    assert len(one_way) <= 3, one_way


def test_grade_school_rollouts_agree_with_their_labels() -> None:
    data = rows("gsm8k_rollouts.jsonl")
    assert [
        r["rollout_id"]
        for r in data
        if judge(r["response"], r["reference"]["answer"]).correct != bool(r["expected"]["score"])
    ] == []


def test_competition_rollouts_agree_with_their_labels_but_one() -> None:
    """The one difference: the label refuses 10000 for a reference written `10{,}000`."""
    different = [
        (r["reference"]["answer"], judge(r["response"], r["reference"]["answer"]).extraction.text)
        for r in rows("math_rollouts.jsonl")
        if judge(r["response"], r["reference"]["answer"]).correct != bool(r["expected"]["score"])
    ]
    assert different == [("10{,}000", "10000")]


def test_compiled_golds_decide_like_fresh_ones() -> None:
    golds: dict[str, CompiledGold] = {}
    for row in rows("math_rollouts.jsonl"):
        text = row["reference"]["answer"]
        compiled = golds.setdefault(text, compile_gold(text))
        for _ in range(2):  # the second answer comes from memory
            assert judge(row["response"], compiled)[:3] == judge(row["response"], text)[:3]


def test_every_gold_of_the_corpora_is_usable() -> None:
    assert not [
        r
        for r in rows("cases.jsonl")
        if judge("\\boxed{1}", str(r["reference"]["answer"])).outcome is Outcome.GOLD_INVALID
    ]


EXACT = [
    "integer",
    "fraction",
    "decimal",
    "scientific",
    "thousands",
    "tuple",
    "interval",
    "inequality",
    "polynomial",
    "pm",
    "matrix",
    "radical",
]


def test_changing_one_digit_or_bracket_flips_the_verdict() -> None:
    """Every true case of the exact categories, with each digit and each bracket of its answer changed in turn."""
    other = {"(": "[", "[": "(", ")": "]", "]": ")"} | {str(d): str((d + 3) % 10) for d in range(10)}
    survivors = []
    for category in EXACT:
        for row in CATEGORIES[category]:
            response, gold = row["response"], str(row["reference"]["answer"])
            found = judge(response, gold).extraction
            if row["expected"]["score"] != 1.0:
                continue
            for at in range(found.start, found.end):
                escaped = response[at - 1 : at] == "\\" or response[max(0, at - 5) : at].endswith(
                    ("\\left", "right", "sqrt")
                )
                if response[at] not in other or escaped:
                    continue
                changed = response[:at] + other[response[at]] + response[at + 1 :]
                if judge(changed, gold).correct:
                    survivors.append((gold, changed[found.start : found.end]))
    # The one survivor is right: [1,2) and [2,3] still make [1,3]; likewise (1,2] and (2,3].
    assert {gold for gold, _ in survivors} <= {"[1,3]"}, survivors


def test_cases_cut_and_glued_are_always_decided() -> None:
    """Pieces of golds and answers in wild combinations: never an exception, never an outcome that hides an answer."""
    rng = Random(20)
    texts = [str(row["gold"]) for row in rows("twins.jsonl")]
    texts += [str(row["reference"]["answer"]) for row in rows("cases.jsonl")]

    def glued() -> str:
        a, b = rng.choice(texts), rng.choice(texts)
        i, j = sorted((rng.randrange(len(a) + 1), rng.randrange(len(a) + 1)))
        k = rng.randrange(len(b) + 1)
        return a[:i] + b[k : rng.randrange(k, len(b) + 1)] + a[j:]

    for _ in range(4000):
        gold = rng.choice(texts) if rng.random() < 0.6 else glued()
        judgement = judge("\\boxed{" + glued() + "}", gold)
        assert judgement.outcome is not Outcome.UNDECIDED, judgement


def test_a_choice_is_read_as_the_verifier_of_choices_reads_it() -> None:
    """Both verifiers share one reader; what the math verifier adds is the value of an option in another form."""
    different = []
    for row in (json.loads(line) for line in CHOICES.read_text(encoding="utf-8").splitlines()):
        reference = row["reference"]
        if not isinstance(row["response"], str) or row["expected"].get("score") is None:
            continue
        choices = reference.get("choices") or {}
        if not isinstance(choices, dict):
            choices = dict(zip(ascii_uppercase, choices, strict=False))
        options = tuple(sorted((letter.upper(), text) for letter, text in choices.items()))
        answer = reference["answer"]
        gold = Gold((ascii_uppercase[answer] if isinstance(answer, int) else answer,), hint="choice", options=options)
        if judge(row["response"], gold).correct != (row["expected"]["score"] == 1):
            different.append((reference, row["response"]))
    assert different == []
