"""The options of `code` for one of several turns: Cobalt's improvement, form and exchanged outputs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reward_servers.core import Message, Part, Rollout, find
from reward_servers.verifiers._turn import TurnOptions, turn_aspects
from tests.verifiers.harness import Bench, bench, rollout

ECHO = "<think>I print it.</think>\n```python\nprint(input())\n```"
TESTS = {"tests": [{"stdin": "1", "stdout": "1"}, {"stdin": "2", "stdout": "2"}]}
CALLS = {"kind": "call", "entry": "f", "cases": [{"args": [1], "returns": 1}, {"args": [2], "returns": 2}]}


@pytest.fixture
async def code() -> AsyncIterator[Bench]:
    async with bench(find("code")) as running:
        yield running


def turn(response: Any = ECHO, previous_best: Any = 0.5, reference: Any = TESTS) -> Rollout:
    return rollout(response, reference, metadata_json=json.dumps({"previous_best": previous_best}).encode())


async def test_what_was_not_asked_for_is_not_told(code: Bench) -> None:
    assert set(dict((await code.verdict("code", turn())).aspects)) == {"passed", "tests", "rejected_by_error"}


async def test_a_turn_is_paid_beside_the_share_of_tests(code: Bench) -> None:
    options = {"improvement": True, "form": "words"}
    half = turn(ECHO.replace("print(input())", "print(1)"))
    none = turn("There is no program.")
    right, some, without = [await code.verdict("code", one, options) for one in (turn(), half, none)]
    assert (right.score, dict(right.aspects)["turn"]) == (1.0, 1.0)
    assert some.score == 0.5
    told = dict(some.aspects)
    assert told["turn"] == pytest.approx(-0.1 + (told["form_wrong"] or 0.0))
    assert (without.code, dict(without.aspects)["turn"]) == ("no_code", -1.0)


@pytest.mark.parametrize("sent", [None, True, -0.1, 1.1, "0.5"])
async def test_a_turn_says_what_the_turns_before_had_passed(code: Bench, sent: Any) -> None:
    fault = await code.fault("code", turn(previous_best=sent), {"improvement": True})
    assert (fault.party.value, fault.code) == ("caller", "missing_previous_best")


@pytest.mark.parametrize("tests", [TESTS, {"tests": CALLS}], ids=["stdio", "calls"])
async def test_who_is_right_fails_the_exchanged_outputs(code: Bench, tests: Any) -> None:
    answer = ECHO if tests is TESTS else "```python\ndef f(x):\n    return x\n```"
    liar = answer.replace("print(input())", "print(3 - int(input()))").replace("return x", "return 3 - x")
    given = [turn(one, reference=tests) for one in (answer, liar)]
    for options, scores in (({}, [1.0, 0.0]), ({"swap_outputs": True}, [0.0, 1.0])):
        assert [(await code.verdict("code", one, options)).score for one in given] == scores


@pytest.mark.parametrize(
    "tests",
    [
        {"tests": [{"stdin": "1", "stdout": "1"}, {"stdin": "2", "stdout": "1\n"}]},
        {"tests": {"kind": "assert", "code": "assert f(1) == 1\nassert f(2) == 2"}},
    ],
    ids=["equal outputs", "no outputs"],
)
async def test_tests_without_outputs_to_exchange_are_a_fault_of_the_data(code: Bench, tests: Any) -> None:
    fault = await code.fault("code", turn(reference=tests), {"swap_outputs": True})
    assert (fault.party.value, fault.code) == ("dataset", "invalid_reference")
    assert "exchanged" in fault.message


def test_thinking_sent_apart_is_part_of_the_form() -> None:
    block = ECHO.partition("</think>")[2]
    apart = (Message("assistant", (Part("reasoning", "I print it."), Part("text", block))),)
    found = [
        turn_aspects(Rollout(one), TurnOptions(improvement=False, form="words"), 1.0, answered=True)
        for one in (ECHO, apart, block)
    ]
    assert found[0]["form_right"] == found[1]["form_right"] == 0.0
    assert found[2]["form_right"] == -0.9


def test_a_reply_without_end_has_no_form() -> None:
    long = turn_aspects(
        Rollout(ECHO + "x" * (1 << 19)), TurnOptions(improvement=False, form="words"), 1.0, answered=True
    )
    assert long == {"form_right": -0.9, "form_wrong": -0.9}
