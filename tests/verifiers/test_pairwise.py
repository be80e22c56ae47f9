"""Win rates over the judge, over a real HTTP server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers.core import (
    Fault,
    Group,
    Message,
    Outcome,
    Part,
    PromptContext,
    RequestError,
    Rollout,
    Verdict,
    bind,
)
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pairwise import pairwise
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, group

Decide = Callable[[str, str], Said | str]


def judge(decide: Decide) -> FakeChatServer:
    """A judge that sees A and B and decides."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        text = request["messages"][1]["content"]
        found = re.findall(r"<<<\w+ RESPONSE [AB]>>>\n(.*?)\n<<<", text, re.DOTALL)
        return decide(found[0], found[1])

    return FakeChatServer(script)


def by_number(first: str, second: str) -> str:
    a, b = (int(re.findall(r"\d+", text)[0]) for text in (first, second))
    return "[[C]]" if a == b else "[[A]]" if a > b else "[[B]]"


@asynccontextmanager
async def judging(fake: FakeChatServer) -> AsyncIterator[Bench]:
    with fake.running() as url:
        async with bench(
            pairwise, bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        ) as running:
            yield running


async def outcomes(running: Bench, one: Group, options: dict[str, Any] | None = None, seed: int = 0) -> list[Outcome]:
    return [result.outcome for result in await running.results("pairwise", [one], options, seed)]


def scores(found: list[Outcome]) -> list[float]:
    return [one.score for one in found if isinstance(one, Verdict)]


async def test_win_rates_with_ties_and_equal_responses() -> None:
    fake = judge(by_number)
    async with judging(fake) as running:
        found = await outcomes(running, group(["n 3", "n 1", "N 1", "n 1"]))
    assert scores(found) == pytest.approx([1.0, 1 / 3, 1 / 3, 1 / 3])
    assert dict(found[0].aspects) == {"valid_pairs": 3.0, "asked_pairs": 3.0, "won": 1.0}  # type: ignore[union-attr]
    assert len(fake.requests) == 2 * 5


async def test_a_judge_that_prefers_a_place_makes_ties() -> None:
    async with judging(judge(lambda a, b: "[[A]]")) as running:
        assert scores(await outcomes(running, group(["x", "y", "z"]))) == [0.5, 0.5, 0.5]
        one_order = scores(await outcomes(running, group(["x", "y", "z"]), {"both_orders": False}))
    assert sum(one_order) == pytest.approx(1.5)


async def test_a_failed_comparison_leaves_its_pair_out() -> None:
    def decide(a: str, b: str) -> Said | str:
        return Said(status=401) if {a, b} == {"n 3", "n 1"} else by_number(a, b)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 3", "n 2", "n 1"]))
        strict = await outcomes(running, group(["n 3", "n 2", "n 1"]), {"min_valid": 1.0})
    assert scores(found) == [1.0, 0.5, 0.0]
    assert [dict(one.aspects)["valid_pairs"] for one in found if isinstance(one, Verdict)] == [1.0, 2.0, 1.0]
    pairs = evidence(found[0])["pairs"]  # type: ignore[arg-type]
    lost = next(one for one in pairs if one["against"] == "r2")
    assert (lost["fault"], "401" in lost["message"]) == ("judge_rejected", True)
    assert "won" not in lost
    assert [isinstance(one, Fault) for one in strict] == [True, False, True]


async def test_without_a_valid_comparison_there_is_a_fault() -> None:
    def decide(a: str, b: str) -> Said | str:
        return "no idea" if "n 9" in (a, b) else by_number(a, b)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 9", "n 2", "n 1"]), {"max_reasks": 0})
    assert isinstance(found[0], Fault)
    assert (found[0].party.value, found[0].code) == ("upstream", "judge_unparsed")
    assert scores(found[1:]) == [1.0, 0.0]


async def test_empty_and_oversized_responses_lose_without_a_call() -> None:
    fake = judge(by_number)
    async with judging(fake) as running:
        found = await outcomes(running, group(["", "n 1", "x" * 300_000]))
    assert [(one.score, one.code) for one in found if isinstance(one, Verdict)] == [
        (0.0, "no_answer"),
        (1.0, "accepted"),
        (0.0, "limit"),
    ]
    assert fake.requests == []


async def test_a_group_of_one_has_nothing_to_compare() -> None:
    async with judging(judge(by_number)) as running:
        found = await outcomes(running, group(["n 1"]))
    assert isinstance(found[0], Fault)
    assert (found[0].party.value, found[0].code) == ("caller", "no_comparison")


async def test_fewer_pairs_are_the_same_whatever_the_order_of_the_group() -> None:
    texts = [f"n {one}" for one in range(8)]
    async with judging(judge(by_number)) as running:
        straight = group(texts)
        turned = Group(straight.prompt_context, straight.rollouts[::-1])
        first = await outcomes(running, straight, {"max_pairs": 8}, seed=3)
        second = await outcomes(running, turned, {"max_pairs": 8}, seed=3)
    assert scores(first) == scores(second)[::-1]
    assert {dict(one.aspects)["asked_pairs"] for one in first if isinstance(one, Verdict)} == {2.0}


async def test_an_incomplete_group_is_not_judged() -> None:
    one = group(["n 1", "n 2"])
    one.prompt_context.size = 3
    async with judging(judge(by_number)) as running:
        found = await outcomes(running, one)
    assert [one.code for one in found if isinstance(one, Fault)] == ["incomplete_group"] * 2


async def test_who_provokes_the_judge_loses_the_comparison_and_both_lose_where_both_do() -> None:
    def decide(a: str, b: str) -> Said | str:
        if "harm" in a + b:
            return "I can't help with that."
        return by_number(a, b) if a[0] == b[0] == "n" else "[[C]]"

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 9 harm", "n 2", "n 1", "harm 3"]))
    assert scores(found) == pytest.approx([0.0, 1.0, 2 / 3, 0.0])


async def test_a_swiss_schedule_lets_those_of_equal_points_meet_and_no_pair_twice() -> None:
    fake = judge(by_number)
    texts = [f"n {one}" for one in range(8)]
    async with judging(fake) as running:
        found = await outcomes(running, group(texts), {"schedule": "swiss", "rounds": 3, "both_orders": False})
    assert len(fake.requests) == 3 * 4
    ranked = scores(found)
    assert (max(ranked), ranked.index(max(ranked))) == (1.0, 7)
    assert (min(ranked), ranked.index(min(ranked))) == (0.0, 0)
    pairs = [(name, one["against"]) for name, verdict in enumerate(found) for one in evidence(verdict)["pairs"]]  # type: ignore[arg-type]
    assert len(set(pairs)) == len(pairs) == 8 * 3


async def test_strengths_allow_for_whom_a_response_met() -> None:
    # Each meets two of seven others: who won both against weak ones is not ahead of who lost one to the best.
    texts = [f"n {one}" for one in range(8)]
    options = {"max_pairs": 12, "rating": "bradley_terry"}
    async with judging(judge(by_number)) as running:
        found = await outcomes(running, group(texts), options)
        all_pairs = await outcomes(running, group(texts), {"rating": "bradley_terry"})
    assert all(0.0 < one < 1.0 for one in scores(found))
    assert sum(scores(found)) == pytest.approx(4.0)
    assert scores(all_pairs) == sorted(scores(all_pairs))
    assert dict(found[7].aspects)["won"] == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [{"schedule": "swiss"}, {"rating": "bradley_terry"}])
async def test_where_every_comparison_shapes_every_score_one_that_fails_leaves_none(options: dict[str, Any]) -> None:
    def decide(a: str, b: str) -> Said | str:
        return Said(status=401) if {a, b} == {"n 3", "n 1"} else by_number(a, b)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 3", "n 1", ""]), options)
    assert [one.code for one in found] == ["judge_rejected", "judge_rejected", "no_answer"]  # type: ignore[union-attr]


async def test_evidence_holds_each_comparison_in_both_orders_for_both_of_its_responses() -> None:
    async with judging(judge(by_number)) as running:
        found = await outcomes(running, group(["n 3", "n 1", "n 1"]))
    pairs = [{one["against"]: one for one in evidence(verdict)["pairs"]} for verdict in found]  # type: ignore[arg-type]
    assert pairs[0]["r1"]["judged"] == pairs[1]["r0"]["judged"]
    orders = {tuple(one["shown"]): one for one in pairs[0]["r1"]["judged"]}
    assert set(orders) == {("r0", "r1"), ("r1", "r0")}
    for names, one in orders.items():
        said = one["evidence"]["replies"][-1]
        # The score is that of the response which the verdict is about.
        assert said["text"] == ("[[A]]" if names[0] == "r0" else "[[B]]")
        assert one["score"] == (1.0 if one["about"] == "r0" else 0.0)
        assert one["evidence"]["model"] == "m-served"
    assert "judged" not in pairs[1]["r2"]


async def test_a_judge_that_says_how_much_better_a_response_is() -> None:
    signs = {0: "A=B", 1: "A>B", 2: "A>>B", 3: "A>>B", -1: "B>A", -2: "B>>A", -3: "B>>A"}

    def decide(first: str, second: str) -> str:
        a, b = (int(re.findall(r"\d+", text)[0]) for text in (first, second))
        return f"[[{signs[a - b]}]]"

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 3", "n 2", "n 0"]), {"protocol": "arena"})
    assert scores(found) == pytest.approx([(0.75 + 1.0) / 2, (0.25 + 1.0) / 2, 0.0])


async def test_a_recipe_may_leave_what_a_response_provokes_without_a_score() -> None:
    def decide(first: str, second: str) -> str:
        return "I can't help with that." if "harm" in first + second else "[[C]]"

    async with judging(judge(decide)) as running:
        found = await outcomes(running, group(["n 2 harm", "n 1"]), {"on_provoked": "fault"})
    assert {one.code for one in found if isinstance(one, Fault)} == {"judge_provoked_refused"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"reply": "skywork_critic"}, "needs a template"),
        ({"reply": "xverify", "template": "t"}, "reply: xverify answers in the protocols binary"),
        ({"reply": "unheard", "template": "t"}, "is not one of"),
        ({"reply": "skywork_critic", "template": "t", "expected": True}, "expected"),
        ({"reply": "skywork_critic", "template": "t", "protocol": "arena"}, "protocols pairwise"),
        ({"by": "preference", "template": "t"}, "template is for by = 'judge'"),
        ({"by": "comparison", "show_transcript": True}, "show_transcript is for by = 'judge'"),
    ],
)
async def test_choices_that_do_not_fit_are_refused_before_anyone_is_asked(options: dict[str, Any], said: str) -> None:
    fake = judge(by_number)
    async with judging(fake) as running:
        with pytest.raises(RequestError, match=said):
            await outcomes(running, group(["n 2", "n 1"]), options)
    assert fake.requests == []


async def test_a_whole_transcript_is_compared_where_it_is_asked_for() -> None:
    def turns(first: str, last: str) -> tuple[Message, ...]:
        return (
            Message("assistant", (Part("text", first),)),
            Message("user", (Part("text", "Go on."),)),
            Message("assistant", (Part("text", last),)),
        )

    told: list[tuple[str, str]] = []

    def decide(first: str, second: str) -> str:
        told.append((first, second))
        return "[[C]]"

    context = PromptContext("g", "", b"", size=2)
    both = Group(context, [Rollout(turns(f"begun {at}", "Done."), context, f"r{at}") for at in range(2)])
    async with judging(judge(decide)) as running:
        whole = await outcomes(running, both, {"show_transcript": True})
        last = await outcomes(running, both)
    assert scores(whole) == scores(last) == [0.5, 0.5]
    # The last answers alone are equal, and no one is asked.
    assert len(told) == 2
    assert all("begun 0" in a + b and "begun 1" in a + b for a, b in told)


async def test_what_a_group_cost_is_told_once() -> None:
    fake = judge(by_number)
    async with judging(fake) as running:
        results = await running.results("pairwise", [group(["1", "2", "3", "4"])])
    spent = [result.usage.upstream_calls for result in results if result.usage is not None]
    assert (len(spent), sum(spent)) == (4, len(fake.requests))
