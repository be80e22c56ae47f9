"""Rubrics: guidance for a policy that tries again, named sets, and criteria that do not fit each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reward_servers.core import bind
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pattern import pattern
from reward_servers.verifiers.rubric import Rubric
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, rollout
from tests.verifiers.test_rubric import YES, all_of, criteria, judge_of, judging, rules


async def test_guidance_names_what_is_not_met() -> None:
    given = rules({"id": "a"}, {"id": "b"}, {"id": "p", "kind": "pitfall"})
    async with judging(all_of({"a": True, "b": False, "p": True})) as running:
        told = await running.verdict("rubric", rollout("my answer", given, prompt="Why?"), {"guidance": "criteria"})
        silent = await running.verdict("rubric", rollout("my answer", given))
    feedback = json.loads(told.feedback)
    assert feedback["unmet"] == ["b", "p"]
    assert feedback["guidance"].splitlines()[1:] == ["- Meet this: About b.", "- Avoid this: About p."]
    assert feedback["revision"].startswith("Why?\n\nHere is an answer:\n\nmy answer\n\nWhat the last answer lacks:")
    assert silent.feedback == b""


async def test_guidance_with_the_judges_reasons_and_without_its_verdict() -> None:
    met = {"About a": "The dose is missing.\nIt names none.\ncorrect: no", "About b": YES}
    async with judging(judge_of(met)) as running:
        told = await running.verdict("rubric", rollout("text", criteria(a=1, b=1)), {"guidance": "reasons"})
    guidance = json.loads(told.feedback)["guidance"]
    assert "- Meet this: About a. (The dose is missing. It names none.)" in guidance
    assert "correct" not in guidance


async def test_guidance_never_quotes_the_pattern_that_decides() -> None:
    given = {"rubric": [{"id": "right", "pattern": "42"}, {"id": "kind", "pattern": "please", "text": "Says please."}]}
    async with bench(declared(Rubric), pattern) as running:
        told = await running.verdict("rubric", rollout("41", given), {"guidance": "criteria"})
    guidance = json.loads(told.feedback)["guidance"]
    assert guidance.splitlines()[1:] == ["- Meet this: right", "- Meet this: Says please."]


async def test_a_set_may_hold_criteria_for_single_prompts(tmp_path: Path) -> None:
    file = tmp_path / "set.json"
    own = [{"prompt": "Why?", "criteria": [{"id": "a", "text": "About a."}]}]
    file.write_text(json.dumps({"prompts": own}))
    with judge_of({"About a": YES}).running() as url:
        judge = bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        async with bench(bind(declared(Rubric), {"sets": {"own": {"path": str(file)}}}), judge) as running:
            known = await running.verdict("rubric", rollout("text", {"rubric": "own"}, prompt="Why?"))
            other = await running.fault("rubric", rollout("text", {"rubric": "own"}, prompt="How?"))
    assert known.score == 1.0
    assert (other.party.value, "none for this one" in other.message) == ("dataset", True)


async def test_named_sets_with_versions(tmp_path: Path) -> None:
    file = tmp_path / "medical.json"
    file.write_text(json.dumps({"version": "3", "criteria": [{"id": "a", "text": "About a."}]}))
    fake = judge_of({"About a": YES})
    with fake.running() as url:
        judge = bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        hosted = bind(declared(Rubric), {"sets": {"medical": {"path": str(file)}}})
        async with bench(hosted, judge) as running:
            named = await running.verdict("rubric", rollout("text", {"rubric": "medical@3"}))
            chosen = await running.verdict("rubric", rollout("text", {}), {"rubric": "medical"})
            old = await running.fault("rubric", rollout("text", {}), {"rubric": "medical@2"})
            other = await running.fault("rubric", rollout("text", {"rubric": "legal"}))
            none = await running.fault("rubric", rollout("text", {}))
    assert named.score == chosen.score == 1.0
    assert evidence(named)["rubric"] == "medical@3"
    assert (old.code, "version 3" in old.message) == ("unknown_rubric", True)
    assert (other.party.value, "medical" in other.message) == ("dataset", True)
    assert none.party.value == "dataset"
    changed = tmp_path / "other.json"
    changed.write_text(file.read_text().replace("About a", "About b"))
    again = bind(declared(Rubric), {"sets": {"medical": {"path": str(changed)}}})
    assert again.identity.digest != hosted.identity.digest


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"id": "a", "text": "x", "requires": ["b"]}], "requires 'b'"),
        ([{"id": "a", "text": "x", "requires": ["b"]}, {"id": "b", "text": "x", "requires": ["a"]}], "itself"),
        ([{"id": "a"}], "needs a text"),
        ([{"id": "a", "pattern": "("}], "pattern"),
        ([{"id": "a", "pattern": "x", "quote": True}], "quote"),
        ([{"id": "a", "text": "x", "choices": {"one": 1}}], "two words"),
        ([{"id": "missing_weight", "text": "x"}], "another id"),
        ([{"id": "weight_2", "text": "x"}], "another id"),
        ([{"id": "a", "text": "x", "wieght": 3}], "'wieght' is no key of a criterion; weight is"),
        (
            [{"id": "a", "check": {"verifier": "exact", "refrence": {}}}],
            "'refrence' is no key of its check; reference is",
        ),
        ([{"id": "a", "check": {"verifier": "rubric"}}], "brings its own criteria"),
        ([{"id": "a", "check": {"verifier": "rubric", "reference": {"rubric": "own"}}}], "brings its own criteria"),
        ([{"id": "a", "text": "x", "kind": "nice"}], "reference.rubric.criteria.0.kind: "),
        ([{"id": "a\nb", "text": "x"}], "reference.rubric.criteria.0.id: "),
        ([{"id": "x" * 201, "text": "x"}], "reference.rubric.criteria.0.id: "),
        ([], "give at least one criterion"),
    ],
)
async def test_criteria_that_do_not_fit(given: list[dict[str, Any]], said: str) -> None:
    async with judging(judge_of({})) as running:
        fault = await running.fault("rubric", rollout("text", {"rubric": given}))
    assert fault.party.value == "dataset"
    assert said in fault.message
    assert "function-after" not in fault.message


async def test_keys_that_a_data_set_carries_beside_ours_are_left_alone() -> None:
    given = [{"id": "a", "text": "About a.", "tags": ["axis:accuracy"], "points": 5, "title": "A"}]
    async with judging(judge_of({"About a": "correct: yes"})) as running:
        assert (await running.verdict("rubric", rollout("text", {"rubric": given}))).score == 1.0
