"""Items that are judged on the loop without a task: more than a turn of the loop may take, and those of others."""

from __future__ import annotations

import asyncio

import pytest

from reward_servers.core import Call, Cost, PlainVerdicts, Result, Rollout, Scorer, Verdict, verifier
from reward_servers.core.executors import _loop
from tests.core.helpers import Asked, group, opened, request, scoring

JUDGED: list[str] = []
WAITS: set[str] = set()


@verifier("test/brief", version="1", cost=Cost.TRIVIAL)
async def brief(rollout: Rollout) -> float:
    """Whether a response is long, at once; or after a turn of the loop."""
    JUDGED.append(rollout.response)
    if rollout.response in WAITS:
        await asyncio.sleep(0)
    return float(len(rollout.response) > 2)


@pytest.fixture(autouse=True)
def turns_of_one_item(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every item is as much as a turn may hold."""
    JUDGED.clear()
    WAITS.clear()
    monkeypatch.setattr(_loop, "_TURN_NS", -1)


class Told:
    """What a call is told."""

    def __init__(self, scorer: Scorer, asked: Asked) -> None:
        self.scores: dict[int, float] = {}
        self.call: Call = opened(scorer, asked, self.deliver, plain=self.deliver_plain)

    def deliver(self, position: int, result: Result) -> None:
        assert isinstance(result.outcome, Verdict)
        self.scores[position] = result.outcome.score

    def deliver_plain(self, verdicts: PlainVerdicts) -> None:
        self.scores.update(zip(verdicts.positions, verdicts.scores, strict=True))


async def test_what_a_turn_does_not_hold_waits_for_another_without_a_task_for_each() -> None:
    async with scoring(brief) as scorer:
        told = Told(scorer, request("test/brief", group("a", "bbb", "c", "ddd", "e")))
        assert JUDGED == ["a"]
        await told.call.wait()
        assert told.scores == {0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0}
        assert told.call.units == []


async def test_clients_take_turns() -> None:
    async with scoring(brief) as scorer:
        first = Told(scorer, request("test/brief", group("a1", "a2", "a3", "a4", "a5", "a6"), client="a"))
        again = Told(scorer, request("test/brief", group("A1", "A2"), client="a"))
        other = Told(scorer, request("test/brief", group("b1", "b2"), client="b"))
        for told in (first, again, other):
            await told.call.wait()
        assert JUDGED == ["a1", "a2", "b1", "A1", "b2", "a3", "A2", "a4", "a5", "a6"]
        assert [len(told.scores) for told in (first, again, other)] == [6, 2, 2]


async def test_a_call_that_is_given_up_is_judged_no_further() -> None:
    async with scoring(brief) as scorer:
        gone = Told(scorer, request("test/brief", group("a1", "a2", "a3")))
        stays = Told(scorer, request("test/brief", group("b1", "b2")))
        gone.call.close()
        await stays.call.wait()
        assert JUDGED == ["a1", "b1", "b2"]
        assert scorer.admission.items == 0


async def test_a_verifier_that_waits_after_all_gets_tasks() -> None:
    WAITS.add("c")
    async with scoring(brief) as scorer:
        told = Told(scorer, request("test/brief", group("a", "bbb", "c", "ddd")))
        await told.call.wait()
        assert told.scores == {0: 0.0, 1: 1.0, 2: 0.0, 3: 1.0}
        assert [JUDGED.count(text) for text in ("a", "bbb", "c", "ddd")] == [1, 1, 2, 1]
