"""The best of several responses, over a real HTTP server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers.core import Fault, Group, Message, Outcome, Part, PromptContext, Rollout, Verdict, bind
from reward_servers.verifiers.best_of import best_of
from reward_servers.verifiers.judge import Judge
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, group

Decide = Callable[[list[str]], Said | str]


def judge(decide: Decide) -> FakeChatServer:
    """A judge that sees all the responses and decides."""

    def script(request: dict[str, Any], number: int) -> Said | str:
        text = request["messages"][1]["content"]
        return decide(re.findall(r"<<<\w+ RESPONSE [A-Z]>>>\n(.*?)\n<<<", text, re.DOTALL))

    return FakeChatServer(script)


def highest(shown: list[str]) -> str:
    numbers = [int("0" + "".join(re.findall(r"\d+", text))) for text in shown]
    return f"[[{'ABCDEFGH'[numbers.index(max(numbers))]}]]"


@asynccontextmanager
async def judging(fake: FakeChatServer) -> AsyncIterator[Bench]:
    with fake.running() as url:
        async with bench(
            best_of, bind(declared(Judge), {"base_url": url, "model": "m", "total_timeout_s": 120})
        ) as running:
            yield running


async def outcomes(running: Bench, texts: list[str], options: dict[str, Any] | None = None) -> list[Outcome]:
    return [result.outcome for result in await running.results("best_of", [group(texts)], options)]


def scores(found: list[Outcome]) -> list[float]:
    return [one.score for one in found if isinstance(one, Verdict)]


async def test_each_response_stands_at_every_place_once() -> None:
    fake = judge(lambda shown: "[[A]]")
    async with judging(fake) as running:
        # A judge that always takes the first place prefers no one.
        assert scores(await outcomes(running, ["x", "y", "z"])) == pytest.approx([1 / 3] * 3)
        assert len(fake.requests) == 3
        assert scores(await outcomes(running, [f"n {one}" for one in range(6)])) == pytest.approx([1 / 4] * 6)


async def test_the_best_wins_wherever_it_stands() -> None:
    async with judging(judge(highest)) as running:
        assert scores(await outcomes(running, ["n 1", "n 3", "n 2"])) == [0.0, 1.0, 0.0]


async def test_equal_responses_share_and_empty_ones_lose_without_a_question() -> None:
    fake = judge(highest)
    async with judging(fake) as running:
        found = await outcomes(running, ["n 3", "n 1", "n 3", ""])
        alone = await outcomes(running, ["n 1", "", "n 1"])
    assert scores(found) == [0.5, 0.0, 0.5, 0.0]
    assert found[3].code == "no_answer"  # type: ignore[union-attr]
    assert scores(alone) == [0.5, 0.0, 0.5]
    assert len(fake.requests) == 2


async def test_who_makes_the_judge_fail_does_not_spare_the_others_the_comparison() -> None:
    def decide(shown: list[str]) -> str:
        return "I can't help with that." if "harm" in "".join(shown) else highest(shown)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, ["n 1", "n 9 harm", "n 2"])
    assert scores(found) == [0.0, 0.0, 1.0]


async def test_a_window_without_a_verdict_is_left_out_and_without_any_there_is_a_fault() -> None:
    def decide(shown: list[str]) -> Said | str:
        return Said(status=401) if shown[0] == "n 1" else highest(shown)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, ["n 1", "n 2", "n 3"])
        strict = await outcomes(running, ["n 1", "n 2", "n 3"], {"min_valid": 1.0})
    assert scores(found) == [0.0, 0.0, 1.0]
    assert [dict(one.aspects)["valid_pairs"] for one in found if isinstance(one, Verdict)] == [2.0] * 3
    assert {one.code for one in strict if isinstance(one, Fault)} == {"judge_rejected"}


async def test_evidence_holds_each_question_and_who_made_the_judge_fail_on_it() -> None:
    def decide(shown: list[str]) -> str:
        return "I can't help with that." if "harm" in "".join(shown) else highest(shown)

    async with judging(judge(decide)) as running:
        found = await outcomes(running, ["n 1", "n 9 harm", "n 2"])
    for verdict in found:
        assert isinstance(verdict, Verdict)
        for question in evidence(verdict)["pairs"]:
            failed, decided = question["judged"]
            assert (failed["fault"], set(failed["shown"])) == ("judge_provoked_refused", {"r0", "r1", "r2"})
            assert failed["evidence"]["provoked_by"] == [failed["shown"].index("r1")]
            assert set(decided["shown"]) == {"r0", "r2"}
            assert decided["evidence"]["replies"][-1]["text"] == f"[[{'AB'[decided['shown'].index('r2')]}]]"


async def test_a_recipe_may_leave_a_question_on_which_a_response_made_the_judge_fail_without_a_winner() -> None:
    def decide(shown: list[str]) -> str:
        return "I can't help with that." if "harm" in "".join(shown) else "[[A]]"

    async with judging(judge(decide)) as running:
        found = await outcomes(running, ["n 1", "harm", "n 2"], {"on_provoked": "fault"})
    assert {one.code for one in found if isinstance(one, Fault)} == {"judge_provoked_refused"}


async def test_a_response_whose_earlier_turns_are_beyond_what_the_judge_takes_is_not_compared() -> None:
    def turns(first: str, last: str) -> tuple[Message, ...]:
        return (Message("assistant", (Part("text", first),)), Message("assistant", (Part("text", last),)))

    context = PromptContext("g", "", b"", size=3)
    given = [turns("x" * 300_000, "n 9"), turns("brief", "n 2"), turns("brief", "n 1")]
    one = Group(context, [Rollout(content, context, f"r{at}") for at, content in enumerate(given)])
    async with judging(judge(highest)) as running:
        found = [result.outcome for result in await running.results("best_of", [one])]
    assert [(got.score, got.code) for got in found if isinstance(got, Verdict)] == [
        (0.0, "limit"),
        (1.0, "accepted"),
        (0.0, "wrong"),
    ]
