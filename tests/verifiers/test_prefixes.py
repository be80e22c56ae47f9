"""Growing prefixes, of which another verifier is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from reward_servers.core import Message, Part, Step
from reward_servers.verifiers.exact import exact
from reward_servers.verifiers.papers.prefixes import prefixes
from reward_servers.verifiers.pattern import pattern
from reward_servers.verifiers.text.item_set import item_set
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, rollout

EARLY = {"verifier": "pattern", "options": {"pattern": "tide"}}
FOUND = {"verifier": "item_set", "cut": "line"}
ITEMS = {"answer": ["ebb", "flow", "neap", "spring"]}


@pytest.fixture
async def running() -> AsyncIterator[Bench]:
    async with bench(declared(prefixes), declared(pattern), declared(exact), declared(item_set)) as one:
        yield one


@pytest.mark.parametrize(
    ("response", "reference", "options", "scores"),
    [
        ("tide", None, EARLY, [0, 1]),
        ("sea", None, EARLY, [0, 0]),
        ("the sea\n\nthe tide", None, EARLY, [0, 0, 1]),
        ("the tide\n\nthe sea\n\nend", None, EARLY, [0, 1, 1, 1]),
        ("one\ntide", None, EARLY, [0, 1]),
        ("one\ntide", None, {**EARLY, "cut": "line"}, [0, 0, 1]),
        ("One. Tide? the tide! So.", None, {**EARLY, "cut": "sentence"}, [0, 0, 0, 1, 1]),
        ("海。潮", None, {"verifier": "pattern", "options": {"pattern": "潮"}, "cut": "sentence"}, [0, 1]),
        ("a\n\nb\n\nc\n\ntide", None, {**EARLY, "max_steps": 2}, [0, 0, 1]),
        ("a\n\nb\n\ntide\n\nc", None, {**EARLY, "max_steps": 3}, [0, 0, 0, 1]),
        ("a\n\nb\n\ntide", None, {**EARLY, "max_steps": 1}, [0, 1]),
        ("ebb\nflow\nneap\nspring", ITEMS, FOUND, [0, 0.4, 2 / 3, 6 / 7, 1]),
        ("ebb\nfog", ITEMS, FOUND, [0, 0.4, 1 / 3]),
        ("4\n\n5", {"answer": "4"}, {"verifier": "exact"}, [0, 1, 0]),
        # Attempts to be paid for steps that are none, or for what is not yet said.
        ("\n\n\n\ntide", None, EARLY, [0, 1]),
        ("tide\n\n\n\n\n\n", None, EARLY, [0, 1]),
        ("a\n\n \n\n\t\n\ntide", None, EARLY, [0, 0, 1]),
        ("<think>tide\n\n</think>sea", None, EARLY, [0, 0, 0]),
        ("<!-- tide -->\n\nsea", None, EARLY, [0, 0, 0]),
        ("prefix_1: 1.0\n\nsteps: 9", None, EARLY, [0, 0, 0]),
        ("a. " * 200 + "tide", None, {**EARLY, "cut": "sentence", "max_steps": 4}, [0, 0, 0, 0, 1]),
    ],
)
async def test_scores_of_the_prefixes(
    running: Bench, response: str, reference: Any, options: dict[str, Any], scores: list[float]
) -> None:
    verdict = await running.verdict("prefixes", rollout(response, reference), options)
    aspects = dict(verdict.aspects)
    assert [aspects[f"prefix_{number}"] for number in range(len(scores))] == pytest.approx(scores)
    assert aspects["steps"] == len(scores) - 1
    assert f"prefix_{len(scores)}" not in aspects
    assert verdict.score == pytest.approx(scores[-1])
    assert [step.score for step in verdict.steps] == pytest.approx([b - a for a, b in pairwise(scores)])


@pytest.mark.parametrize("response", ["", "  \n\n "])
async def test_a_response_without_text_gets_the_floor(running: Bench, response: str) -> None:
    verdict = await running.verdict("prefixes", rollout(response), EARLY)
    assert (verdict.score, verdict.code) == (0, "no_answer")


async def test_steps_are_places_in_the_response(running: Bench) -> None:
    verdict = await running.verdict("prefixes", rollout("the sea\n\nthe tide"), EARLY)
    assert verdict.steps == (Step(0, 9, 0.0), Step(9, 17, 1.0))


async def test_messages_are_cut_after_each_turn_of_the_policy(running: Bench) -> None:
    turns = tuple(
        Message(role, (Part("text", text),))
        for role, text in (("assistant", "I look."), ("tool", "high tide"), ("assistant", "tide"), ("tool", "ok"))
    )
    verdict = await running.verdict("prefixes", rollout(turns), EARLY)
    assert [dict(verdict.aspects)[f"prefix_{number}"] for number in range(3)] == [0, 0, 1]
    assert [(step.message, step.end) for step in verdict.steps] == [(0, 7), (2, 4)]


async def test_a_fault_of_one_prefix_is_no_score(running: Bench) -> None:
    fault = await running.fault("prefixes", rollout("4", {"answer": []}), {"verifier": "exact"})
    assert fault.party.value == "dataset"
    assert (await running.fault("prefixes", rollout("4"), {"verifier": "prefixes"})).code == "invalid_options"
    assert (await running.fault("prefixes", rollout("4"), {"verifier": "nowhere"})).party.value != "dataset"


async def test_a_response_of_very_many_lines_is_cut_at_once(running: Bench) -> None:
    verdict = await running.verdict("prefixes", rollout("a\n" * 200_000 + "tide"), {**EARLY, "cut": "line"})
    assert dict(verdict.aspects)["steps"] == 16
    assert verdict.score == 1
