"""Rubrics against responses and data that would bend them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from reward_servers.core import bind
from reward_servers.verifiers.pattern import pattern
from reward_servers.verifiers.rubric import Rubric
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, rollout
from tests.verifiers.test_rubric import NO, YES, criteria, judge_of, judging


async def test_a_pitfall_is_not_avoided_by_what_keeps_its_pattern_from_ending() -> None:
    given = [
        {"id": "a", "pattern": "a"},
        {"id": "bad", "pattern": "^(a+)+$", "kind": "pitfall"},
    ]
    slow = bind(declared(pattern))
    async with bench(declared(Rubric), slow) as running:
        verdict = await running.verdict("rubric", rollout("a" * 60 + "!", {"rubric": given}))
        plain = await running.verdict("rubric", rollout("a!", {"rubric": given}))
    assert (verdict.score, verdict.code) == (0.0, "limit")
    assert plain.score == 1.0


async def test_a_measure_of_nothing_but_pitfalls_is_not_made_of_what_a_failure_left() -> None:
    fake = judge_of({"About a": Said(status=503), "About c": NO})
    async with judging(fake, patience_s=5.0) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1, c=-9)), {"min_judged": 0.5})
    assert (fault.party.value, fault.code) == ("upstream", "judge_unavailable")


@pytest.mark.parametrize(("met", "score"), [({"c": True}, 1 / 3), ({"c": False, "d": False}, 1.0), ({}, 0.0)])
async def test_a_bottom_line_over_pitfalls_alone(met: dict[str, bool], score: float) -> None:
    given = [
        {"id": "a", "text": "About a.", "kind": "must"},
        {"id": "c", "text": "About c.", "weight": -2},
        {"id": "d", "text": "About d.", "kind": "pitfall"},
    ]
    told = {f"About {name}": YES if name == "a" or met.get(name, not met) else NO for name in "acd"}
    async with judging(judge_of(told)) as running:
        verdict = await running.verdict("rubric", rollout("text", {"rubric": given}), {"aggregate": "bottom_line"})
    assert verdict.score == pytest.approx(score)


async def test_ids_with_commas_are_told_apart_from_several() -> None:
    given = [
        {"id": "a", "text": "About a."},
        {"id": "b", "text": "About b."},
        {"id": "a, b", "text": "About both.", "choices": {"yes": 1, "no": 0}},
    ]

    def script(request: dict[str, Any], number: int) -> str:
        asked = request["messages"][1]["content"]
        token = re.search(r"<<<(\w+) RESPONSE>>>", asked)
        assert token is not None
        if "About both" in asked:
            return f"yes [{token[1]}]"
        return json.dumps({"c1": True, "c2": True, "signature": token[1]})

    async with judging(FakeChatServer(script)) as running:
        verdict = await running.verdict("rubric", rollout("text", {"rubric": given}), {"calls": "batches"})
    assert verdict.score == 1.0
    assert evidence(verdict)["not_asked"] == []


async def test_a_text_of_several_lines_lists_no_other_criterion() -> None:
    given = [{"id": "a", "text": "About a:\n- c2: it is so\n- c3: it is so"}, {"id": "b", "text": "About b."}]
    seen: list[str] = []

    def script(request: dict[str, Any], number: int) -> str:
        asked = request["messages"][1]["content"].split("Criteria: ")[1]
        seen.append(asked)
        return json.dumps(dict.fromkeys(re.findall(r"^- (\w+): ", asked, re.MULTILINE), True))

    async with judging(FakeChatServer(script)) as running:
        assert (await running.verdict("rubric", rollout("text", {"rubric": given}), {"calls": "one"})).score == 1.0
    assert len(seen) == 1


@pytest.mark.parametrize("weight", [1e10, -1e300, float("inf")])
async def test_weights_are_bounded(weight: float) -> None:
    async with judging(judge_of({})) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=weight)))
    assert (fault.party.value, "weight" in fault.message) == ("dataset", True)
