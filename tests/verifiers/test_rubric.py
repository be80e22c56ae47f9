"""The rubric over the judge, over a real HTTP server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers import Score, verifier
from reward_servers.core import Group, Message, Part, Rollout, bind
from reward_servers.verifiers.exact import exact
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pattern import pattern
from reward_servers.verifiers.rubric import Rubric
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, rollout


def judge_of(met: Mapping[str, Said | str]) -> FakeChatServer:
    """A judge that finds the criterion's text in the prompt and answers as told."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        asked = request["messages"][1]["content"].split("Criteria: ")[1]
        return next(said for text, said in met.items() if asked.startswith(text))

    return FakeChatServer(script)


@asynccontextmanager
async def judging(fake: FakeChatServer, patience_s: float = 120.0) -> AsyncIterator[Bench]:
    with fake.running() as url:
        async with bench(
            declared(Rubric), bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": patience_s})
        ) as running:
            yield running


def criteria(**weights: float) -> dict[str, Any]:
    return {"rubric": [{"id": name, "text": f"About {name}.", "weight": weight} for name, weight in weights.items()]}


YES, NO = "correct: yes", "correct: no"


@pytest.mark.parametrize(
    ("weights", "met", "options", "score"),
    [
        ({"a": 3, "b": 1}, {"About a": YES, "About b": NO}, {}, 0.75),
        ({"a": 3, "b": 1, "c": -2}, {"About a": YES, "About b": NO, "About c": YES}, {}, 0.25),
        ({"a": 1, "c": -2}, {"About a": YES, "About c": YES}, {}, 0.0),
        ({"a": 1, "c": -2}, {"About a": YES, "About c": YES}, {"aggregate": "range"}, 1 / 3),
        ({"c": -2}, {"About c": NO}, {"aggregate": "range"}, 1.0),
        ({"a": 1, "b": 1}, {"About a": "Score: 5", "About b": "Score: 3"}, {"protocol": "likert_1_5"}, 0.75),
    ],
)
async def test_weights(weights: dict[str, float], met: dict[str, str], options: dict[str, Any], score: float) -> None:
    async with judging(judge_of(met)) as running:
        verdict = await running.verdict("rubric", rollout("text", criteria(**weights)), options)
    assert verdict.score == pytest.approx(score)
    assert [name for name, _ in verdict.aspects] == [*weights, "unclipped"]
    seen = evidence(verdict)
    assert [one["id"] for one in seen["criteria"]] == list(weights)
    assert seen["used"]["judge"]["digest"].startswith("sha256:")


async def test_a_criterion_without_a_verdict_leaves_the_rubric_without_one() -> None:
    fake = judge_of({"About a": YES, "About b": Said(status=503), "About c": Said(status=503)})
    async with judging(fake, patience_s=5.0) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1, b=1, c=1)))
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_unavailable", True)
    assert "2 of 3 criteria" in fault.message
    assert "b (judge_unavailable)" in fault.message


async def test_a_fault_that_trying_again_cannot_mend_speaks_for_all() -> None:
    fake = judge_of({"About a": Said(status=503), "About b": "no idea"})
    async with judging(fake, patience_s=5.0) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1, b=1)))
    assert (fault.code, fault.retryable) == ("judge_unparsed", False)


async def test_usage_and_seed_are_the_items_own() -> None:
    fake = judge_of({"About a": YES, "About b": YES, "About c": YES})
    async with judging(fake) as running:
        one = rollout("text", criteria(a=1, b=1, c=0))
        result = (await running.results("rubric", [_alone(one)]))[0]
        await running.results("rubric", [_alone(one)])
    assert result.usage is not None
    assert (result.usage.upstream_calls, result.usage.input_tokens, result.usage.output_tokens) == (2, 200, 14)
    prompts = [request["messages"][1]["content"] for request in fake.requests]
    assert sorted(prompts[:2]) == sorted(prompts[2:])


def _alone(one: Rollout) -> Group:
    return Group(one.prompt_context, [one])


async def test_an_empty_response_costs_no_call() -> None:
    fake = judge_of({})
    async with judging(fake) as running:
        verdict = await running.verdict("rubric", rollout("  ", criteria(a=1)))
    assert (verdict.score, verdict.code, fake.requests) == (0.0, "no_answer", [])


@pytest.mark.parametrize(
    ("reference", "options", "said"),
    [
        ({"rubric": []}, {}, "rubric"),
        ({"rubric": [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]}, {}, "have the id"),
        ({"rubric": [{"id": "a", "text": "x", "weight": 0}]}, {}, "weight"),
        (criteria(c=-1), {}, "aggregate = 'range'"),
    ],
)
async def test_a_rubric_that_cannot_be_used_is_the_data_sets_fault(
    reference: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    async with judging(judge_of({"About c": NO})) as running:
        fault = await running.fault("rubric", rollout("text", reference), options)
    assert fault.party.value == "dataset"
    assert said in fault.message


async def test_without_a_judge_the_fault_says_what_is_missing() -> None:
    async with bench(declared(Rubric)) as running:
        fault = await running.fault("rubric", rollout("text", criteria(a=1)))
    assert (fault.party.value, fault.code) == ("service", "verifier_not_reachable")
    assert "[endpoints]" in fault.message


async def test_a_failure_that_the_response_caused_on_one_criterion_is_no_gain() -> None:
    """A refusal to say whether a harmful criterion is met must not count as not met."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        asked = request["messages"][1]["content"]
        return "I can't help with that." if "HARM" in asked and "Criteria: About c" in asked else YES

    async with judging(FakeChatServer(script)) as running:
        bad = await running.verdict("rubric", rollout("HARM", criteria(a=1, c=-2)), {"aggregate": "range"})
        good = await running.verdict("rubric", rollout("good", criteria(a=1, c=-2)), {"aggregate": "range"})
    assert (bad.score, bad.code) == (0.0, "provoked_refused")
    assert good.score == pytest.approx(1 / 3)


def rules(*given: dict[str, Any]) -> dict[str, Any]:
    return {"rubric": [{"text": f"About {one['id']}.", **one} for one in given]}


def all_of(met: Mapping[str, bool]) -> FakeChatServer:
    """A judge that answers one question or many, in the form asked for."""

    def script(request: dict[str, Any], number: int) -> str:
        asked = request["messages"][1]["content"].split("Criteria: ")[1]
        named = dict(re.findall(r"^- (c\d+): About (\w+)\.", asked, re.MULTILINE))
        if named:
            return json.dumps({key: met[name] for key, name in named.items()})
        name = re.match(r"About (\w+)", asked)
        assert name is not None
        return YES if met[name[1]] else NO

    return FakeChatServer(script)


@pytest.mark.parametrize("count", [3, 25, 40])
async def test_one_call_batches_and_a_call_each_give_the_same_values(count: int) -> None:
    names = [f"n{place}" for place in range(count)]
    met = {name: place % 3 != 0 for place, name in enumerate(names)}
    reference = rules(*({"id": name, "weight": 1 + place % 4} for place, name in enumerate(names)))
    found = []
    for calls, expected in (("each", count), ("batches", -(-count // 10)), ("one", -(-count // 32))):
        fake = all_of(met)
        async with judging(fake) as running:
            verdict = await running.verdict("rubric", rollout("text", reference), {"calls": calls})
        assert len(fake.requests) == expected
        found.append((verdict.score, verdict.aspects))
    assert found[0] == found[1] == found[2]
    told = dict(found[0][1])
    assert told.pop("unclipped") == pytest.approx(found[0][0])
    assert told == {name: float(yes) for name, yes in met.items()}


MUST = {"id": "m", "kind": "must"}


@pytest.mark.parametrize(
    ("given", "met", "aggregate", "score"),
    [
        ([MUST, {"id": "s"}], {"m": True, "s": False}, "all_must", 0.5),
        ([MUST, {"id": "s"}], {"m": False, "s": True}, "all_must", 0.0),
        ([{"id": "a"}, {"id": "p", "kind": "pitfall"}], {"a": True, "p": False}, "weighted", 1.0),
        ([{"id": "a"}, {"id": "p", "kind": "pitfall", "weight": 0.5}], {"a": True, "p": True}, "weighted", 0.5),
        ([{"id": "a"}, {"id": "b"}], {"a": True, "b": False}, "geometric", 0.0),
        ([{"id": "a"}, {"id": "p", "kind": "pitfall"}], {"a": True, "p": False}, "geometric", 1.0),
        # SearchLLM: one of three bottom lines is 0.
        (
            [{**MUST, "id": "x"}, {**MUST, "id": "y"}, {**MUST, "id": "z"}, {"id": "s"}],
            {"x": True, "y": True, "z": False, "s": True},
            "bottom_line",
            (0.01 / 1.01) ** (1 / 3),
        ),
        ([{"id": "s"}, {"id": "t"}], {"s": True, "t": False}, "bottom_line", 0.5),
        ([{"id": "a"}, MUST, {"id": "b"}, {"id": "c"}], {"a": True, "m": False, "b": True, "c": True}, "levels", 0.25),
        ([{"id": "a"}, MUST, {"id": "b"}, {"id": "c"}], {"a": True, "m": True, "b": True, "c": False}, "levels", 0.75),
    ],
)
async def test_aggregates(given: list[dict[str, Any]], met: dict[str, bool], aggregate: str, score: float) -> None:
    async with judging(all_of(met)) as running:
        verdict = await running.verdict("rubric", rollout("text", rules(*given)), {"aggregate": aggregate})
    assert verdict.score == pytest.approx(score)


async def test_what_requires_an_unmet_criterion_is_not_asked_and_counts_nothing() -> None:
    fake = all_of({"a": False, "b": True, "p": True, "c": True})
    given = rules(
        {"id": "c", "requires": ["b"]},
        {"id": "a"},
        {"id": "b", "requires": ["a"]},
        {"id": "p", "kind": "pitfall", "requires": ["a"], "weight": 0.1},
    )
    async with judging(fake) as running:
        verdict = await running.verdict("rubric", rollout("text", given), {"aggregate": "range"})
    assert len(fake.requests) == 2
    assert evidence(verdict)["not_asked"] == ["b", "c"]
    assert dict(verdict.aspects) == {"c": 0.0, "a": 0.0, "b": 0.0, "p": 1.0, "unclipped": 0.0}
    assert verdict.score == 0.0


async def test_words_to_choose_from_and_quotes() -> None:
    said = {"About tone": "mixed", "About fact": 'It says "the tower is tall".\ncorrect: yes'}
    given = rules(
        {"id": "tone", "choices": {"kind": 1, "mixed": 0.4, "rude": 0}}, {"id": "fact", "quote": True, "weight": 3}
    )
    async with judging(judge_of(said)) as running:
        good = await running.verdict("rubric", rollout("I think the tower is tall.", given))
        bad = await running.fault("rubric", rollout("I think the tower is old.", given))
    assert good.score == pytest.approx((0.4 + 3) / 4)
    assert (bad.party.value, bad.code) == ("upstream", "judge_no_quote")


async def test_patterns_and_other_verifiers_decide_beside_the_judge() -> None:
    given = {
        "rubric": [
            {"id": "dose", "pattern": "\\b5 mg\\b"},
            {"id": "same", "check": {"verifier": "exact", "reference": {"answer": "take 5 mg"}}},
            {"id": "a", "text": "About a."},
        ]
    }
    fake = judge_of({"About a": YES})
    with fake.running() as url:
        judge = bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        async with bench(declared(Rubric), judge, exact, pattern) as running:
            verdict = await running.verdict("rubric", rollout("Take 5 mg", given))
    assert dict(verdict.aspects) == {"dose": 1.0, "same": 1.0, "a": 1.0, "unclipped": 1.0}
    assert len(fake.requests) == 1


async def test_a_missing_verdict_is_told_with_its_weight_and_is_never_0() -> None:
    fake = judge_of({"About a": YES, "About b": "no idea", "About c": NO})
    given = rules({"id": "a", "weight": 2}, {"id": "b"}, {"id": "c"}, {"id": "d", "requires": ["b"], "weight": 0})
    async with judging(fake) as running:
        fault = await running.fault("rubric", rollout("text", given), {"min_judged": 0.8})
        verdict = await running.verdict("rubric", rollout("text", given), {"min_judged": 0.7})
    assert fault.code == "judge_unparsed"
    assert "b (judge_unparsed); 25% of the weight is missing; " in fault.message
    told = dict(verdict.aspects)
    assert (told["a"], told["b"], told["c"], told["missing_weight"]) == (1.0, None, 0.0, 0.25)
    assert verdict.score == pytest.approx(2 / 3)


async def test_what_requires_a_criterion_without_verdict_has_none_either() -> None:
    fake = judge_of({"About a": YES, "About b": "no idea"})
    given = rules({"id": "a", "weight": 3}, {"id": "b"}, {"id": "c", "requires": ["b"]})
    async with judging(fake) as running:
        verdict = await running.verdict("rubric", rollout("text", given), {"min_judged": 0.5})
    told = dict(verdict.aspects)
    assert (told["b"], told["c"], told["missing_weight"]) == (None, None, 0.4)
    assert (verdict.score, evidence(verdict)["missing"]) == (1.0, ["b", "c"])


@pytest.mark.parametrize("aggregate", ["all_must", "bottom_line", "levels"])
async def test_a_gate_without_verdict_is_never_passed_over(aggregate: str) -> None:
    fake = judge_of({"About gate": "no idea", "About a": YES})
    given = rules({"id": "gate", "kind": "must", "weight": 0.1}, {"id": "a", "weight": 3})
    async with judging(fake) as running:
        fault = await running.fault(
            "rubric", rollout("text", given), {"min_judged": 0.5, "aggregate": aggregate, "max_reasks": 0}
        )
    assert fault.code == "judge_unparsed"


async def test_a_gate_may_have_no_weight_and_a_bound_of_its_own() -> None:
    given = rules({"id": "gate", "kind": "must", "weight": 0, "met_from": 0.8}, {"id": "a"})
    met = {"About gate": "Score: 4", "About a": "Score: 5"}
    options = {"aggregate": "all_must", "protocol": "likert_1_5"}
    async with judging(judge_of(met)) as running:
        shut = await running.verdict("rubric", rollout("text", given), options)
        met["About gate"] = "Score: 5"
        opened = await running.verdict("rubric", rollout("text", given), options)
    assert (shut.score, evidence(shut)["closed_at"]) == (0.0, ["gate"])
    assert (opened.score, evidence(opened)["closed_at"]) == (1.0, [])


async def test_levels_are_the_hierarchy_of_hrm() -> None:
    """R = sum_l w_l s_l prod_{m<l} [s_m >= theta_m], over the sum of the weights."""
    given = rules(
        {"id": "form", "kind": "must", "weight": 1, "met_from": 1.0},
        {"id": "right", "kind": "must", "weight": 3, "met_from": 0.75},
        {"id": "deep", "kind": "must", "weight": 2},
    )
    met = {"About form": "Score: 5", "About right": "Score: 3", "About deep": "Score: 5"}
    async with judging(judge_of(met)) as running:
        verdict = await running.verdict(
            "rubric", rollout("text", given), {"aggregate": "levels", "protocol": "likert_1_5"}
        )
    assert verdict.score == pytest.approx((1 * 1.0 + 3 * 0.5) / 6)
    assert evidence(verdict)["closed_at"] == ["right"]


async def test_length_costs_where_it_is_told_to() -> None:
    async with judging(judge_of({"About a": YES})) as running:
        verdict = await running.verdict(
            "rubric", rollout("x" * 3_000, criteria(a=1)), {"length_center": 2000, "length_penalty": 0.05}
        )
    assert verdict.score == pytest.approx(0.9)


async def test_the_published_length_adjustment_of_health_bench() -> None:
    """Score - 0.0147 * (characters - 2000) / 500, before the clip."""
    options = {"length_penalty": 0.0147, "length_gain": True}
    given = rules({"id": "a", "weight": 4}, {"id": "b", "weight": 4}, {"id": "p", "kind": "pitfall", "weight": 6})
    async with judging(all_of({"a": True, "b": False, "p": True})) as running:
        bad = await running.verdict("rubric", rollout("x" * 1000, given), options)
    async with judging(all_of({"a": True, "b": False, "p": False})) as running:
        short = await running.verdict("rubric", rollout("x" * 1000, given), options)
        long = await running.verdict("rubric", rollout("x" * 4000, given), options)
    assert bad.score == 0.0
    assert dict(bad.aspects)["unclipped"] == pytest.approx(-0.25 + 0.0294)
    assert short.score == pytest.approx(0.5 + 0.0294)
    assert long.score == pytest.approx(0.5 - 0.0588)


async def test_verdicts_by_place_for_methods_that_read_columns() -> None:
    given = rules({"id": "a", "weight": 3}, {"id": "p", "kind": "pitfall"})
    async with judging(all_of({"a": True, "p": False})) as running:
        verdict = await running.verdict("rubric", rollout("text", given), {"by_place": 3})
        fault = await running.fault("rubric", rollout("text", given), {"by_place": 1})
    told = dict(verdict.aspects)
    assert [told[f"criterion_{place}"] for place in (1, 2, 3)] == [1.0, 0.0, 0.0]
    assert [told[f"weight_{place}"] for place in (1, 2, 3)] == [3.0, -1.0, 0.0]
    assert (fault.code, "raise it" in fault.message) == ("invalid_options", True)


async def test_a_check_whose_score_is_no_share_is_the_data_sets_fault() -> None:
    @verifier("odd", version="1", score_range=(-1.0, 1.0))
    async def odd(one: Rollout) -> Score:
        return Score(-1.0)

    given = {"rubric": [{"id": "x", "check": {"verifier": "odd"}}, {"id": "a", "text": "About a."}]}
    with judge_of({"About a": YES}).running() as url:
        judge = bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        async with bench(declared(Rubric), judge, odd) as running:
            fault = await running.fault("rubric", rollout("text", given))
    assert fault.party.value == "dataset"
    assert "criterion x: odd gives -1" in fault.message


async def test_what_the_judge_cannot_be_shown_is_the_floor_and_no_pitfall_avoided() -> None:
    broken = Message("assistant", (Part("text", "See this."), Part("blob", data=b"no picture", mime="image/png")))
    given = {"rubric": [{"id": "p", "text": "About p.", "kind": "pitfall"}]}
    async with judging(judge_of({"About p": NO})) as running:
        verdict = await running.verdict("rubric", rollout((broken,), given), {"aggregate": "range"})
    assert verdict.score == 0.0
    assert verdict.code not in ("accepted", "partial", "wrong")


async def test_criteria_may_weigh_the_probabilities_of_their_verdicts() -> None:
    said = Said(tokens=(("correct:", {}), (" yes", {" yes": 0.75, " no": 0.25})))
    async with judging(judge_of({"About": said})) as running:
        verdict = await running.verdict("rubric", rollout("It is.", criteria(a=1, b=3)), {"expected": True})
    assert verdict.score == pytest.approx(0.75)
