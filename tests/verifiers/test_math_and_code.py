"""The verifiers on the math and the code engine, in real workers."""

from __future__ import annotations

import json
from typing import Any

from reward_servers.core import Evaluation, Party, Request
from reward_servers.verifiers.code import Code
from reward_servers.verifiers.math import math
from tests.core.helpers import Asked, as_fault, as_verdict, group, outcomes, request, scoring
from tests.typed import declared

_SUM: dict[str, Any] = {
    "tests": {"kind": "stdio", "cases": [{"stdin": "2 3", "stdout": "5"}, {"stdin": "1 1", "stdout": "2"}]}
}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _program(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}\n```\n"


async def test_math_scores_explains_and_blames_the_right_party() -> None:
    right = group(r"so \boxed{\frac{1}{2}}", r"so \boxed{0.4}", "no idea", reference=b'{"answer": "0.5"}')
    tower = group(r"\boxed{9^{9^{9^{9}}}}", reference=b'{"answer": 7}', name="tower")
    bad = group(r"\boxed{1}", reference=b'{"answer": "\\\\frac{"}', name="bad")
    async with scoring(math) as scorer:
        found = await outcomes(scorer, request("math", right, tower, bad))
    assert [(as_verdict(one).score, as_verdict(one).code) for one in found[:4]] == [
        (1.0, "accepted"),
        (0.0, "wrong"),
        (0.0, "no_answer"),
        (0.0, "limit"),
    ]
    evidence = json.loads(as_verdict(found[0]).evidence)
    assert (evidence["extracted"], evidence["gold"]) == (r"\frac{1}{2}", "0.5")
    assert (as_fault(found[4]).party, as_fault(found[4]).code) == (Party.DATASET, "invalid_reference")


async def test_math_takes_several_answers_and_a_profile() -> None:
    groups = [
        group(r"\boxed{4}", reference=_json({"answer": [3, "4"]})),
        group(r"\boxed{3, 4}", reference=_json({"answer": ["4", "3"], "mode": "all"}), name="all"),
        group(r"\boxed{2/4}", reference=_json({"answer": "1/2"}), name="reduced"),
    ]
    asked = Asked(groups, Request([Evaluation("math"), Evaluation("math", options=b'{"reduced": true}')]))
    async with scoring(math) as scorer:
        found = [as_verdict(one).score for one in await outcomes(scorer, asked)]
    assert found == [1.0, 1.0, 1.0, 1.0, 1.0, 0.0]


async def test_code_scores_tests_and_keeps_hidden_ones_out_of_the_feedback() -> None:
    hidden = _json(_SUM)
    public = _json({"tests": {**_SUM["tests"], "cases": [{**_SUM["tests"]["cases"][0], "public": True}]}})
    right = _program("a, b = map(int, input().split())\nprint(a + b)")
    half = _program("print(5)")
    async with scoring(declared(Code)) as scorer:
        groups = [group(right, half, "no program", reference=hidden), group(half, reference=public, name="public")]
        found = [as_verdict(one) for one in await outcomes(scorer, request("code", *groups))]
        facts = scorer.facts()
    assert [(one.score, one.code) for one in found] == [
        (1.0, "accepted"),
        (0.5, "partial"),
        (0.0, "no_code"),
        (1.0, "accepted"),
    ]
    assert dict(found[1].aspects) == {"passed": 1.0, "tests": 2.0, "rejected_by_error": 0.0}
    assert [sorted(json.loads(one.feedback or b"{}")) for one in found] == [[], [], ["message"], ["tests"]]
    assert json.loads(found[1].evidence)["passed"] == 1
    assert facts["code.isolation"] == "ns"
    assert facts["code.memory_bound"] in ("cgroup_v1", "cgroup_v2", "per_process")


async def test_code_with_references_that_cannot_be_used() -> None:
    program = _program("print(5)")
    references: list[Any] = [
        {"language": "cobol", **_SUM},
        {"language": "python"},
        {"tests": {"kind": "stdio", "cases": []}},
        {"tests": "not json"},
        {**_SUM, "limits": {"cpu_s": 100000}},
    ]
    groups = [group(program, reference=_json(one), name=str(place)) for place, one in enumerate(references)]
    async with scoring(declared(Code), workers=1) as scorer:
        found = await outcomes(scorer, request("code", *groups, group(program, reference=_json(_SUM), name="good")))
    for one in found[:-1]:
        assert (as_fault(one).party, as_fault(one).code) == (Party.DATASET, "invalid_reference")
        assert as_fault(one).message.startswith("reference")
    assert as_verdict(found[-1]).score == 0.5


async def test_a_hostile_program_costs_its_neighbours_nothing() -> None:
    limits = {"cpu_s": 0.5, "wall_s": 3, "memory_mb": 128}
    right = _program("a, b = map(int, input().split())\nprint(a + b)")
    texts = [
        right,
        _program("while True: pass"),
        _program("import os\nos._exit(0)"),
        _program("x = 'a' * (1 << 30)"),
        right,
    ]
    async with scoring(declared(Code)) as scorer:
        asked = request("code", group(*texts, reference=_json({**_SUM, "limits": limits})))
        found = [as_verdict(one) for one in await outcomes(scorer, asked)]
    assert [one.score for one in found] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert [one.code for one in found] == ["accepted", "limit", "wrong", "limit", "accepted"]
