"""A judge in the server's own process: real forward passes, no network."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from reward_servers.core import Fault, SettingsError, StartupError, Verdict, bind
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.pairwise import pairwise
from tests.engines.models.causal import causal
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, group, rollout

ANY = {"min_mass": 0.0}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"expected": True},
        {"protocol": "likert_1_10"},
        {"protocol": "likert_0_6", "expected": True},
        {"protocol": "equivalence"},
        {"protocol": "pairwise"},
        {"protocol": "arena"},
        {"protocol": "best_of"},
        {"protocol": "grade", "grades": {"right": 1.0, "wrong": 0.0}},
        {"protocol": "rubric", "dimensions": {"truth": "It is true.", "style": "It reads well."}},
        {"protocol": "ratings_1_5", "dimensions": {"truth": "It is true.", "style": "It reads well."}},
        {"protocol": "steps"},
    ],
    ids=lambda options: " ".join(map(str, options.values())) or "binary",
)
async def test_every_protocol_is_decided_by_a_local_model(path: Path, options: dict[str, Any]) -> None:
    item = rollout("four\n\nfive", {"answer": "4", "opponent": "5", "opponents": ["5"]}, prompt="2+2?")
    async with bench(bind(declared(Judge), {"path": str(path)})) as running:
        verdict = await running.verdict("judge", item, {**options, **ANY})
        again = await running.verdict("judge", item, {**options, **ANY})
    assert 0.0 <= verdict.score <= 1.0
    assert (verdict.score, verdict.evidence) == (again.score, again.evidence)
    reply = evidence(verdict)["replies"][0]
    assert (reply["status"], reply["channel"]) == ("ok", "signed")
    assert evidence(verdict)["usage"]["calls"] == 1
    assert evidence(verdict)["fingerprint"].startswith("sha256:")


async def test_a_model_that_would_rather_write_something_else_has_no_opinion(path: Path) -> None:
    async with bench(bind(declared(Judge), {"path": str(path)})) as running:
        fault = await running.fault("judge", rollout("four"))
    assert (fault.party.value, fault.code) == ("upstream", "judge_unsure")
    assert "of at least 0.5" in fault.message


async def test_a_response_that_overflows_the_context_is_no_shelter_and_costs_its_neighbours_nothing(path: Path) -> None:
    items = [rollout("four"), rollout("four " * 2_000, rollout_id="long"), rollout("five", rollout_id="b")]
    async with bench(bind(declared(Judge), {"path": str(path), "max_length": 4096})) as running:
        outcomes = await running.outcomes("judge", items, ANY)
    assert [type(one) for one in outcomes] == [Verdict] * 3
    assert (outcomes[1].score, outcomes[1].code) == (0.0, "provoked_context")  # type: ignore[union-attr]


async def test_verdicts_do_not_depend_on_what_is_judged_beside_them(path: Path) -> None:
    items = [rollout(f"answer {number}", rollout_id=str(number)) for number in range(6)]
    async with bench(bind(declared(Judge), {"path": str(path)})) as running:
        together = await running.outcomes("judge", items, {**ANY, "expected": True})
        alone = [(await running.outcomes("judge", [one], {**ANY, "expected": True}))[0] for one in items[::-1]][::-1]
    assert [one.score for one in together if isinstance(one, Verdict)] == [
        one.score for one in alone if isinstance(one, Verdict)
    ]
    assert not any(isinstance(one, Fault) for one in together)


async def test_win_rates_of_a_group_from_a_local_model(path: Path) -> None:
    async with bench(pairwise, bind(declared(Judge), {"path": str(path)})) as running:
        results = await running.results("pairwise", [group(["one", "two", "three"])])
    # A random model has no opinion: the comparisons are faults, and no win rate is made of them.
    assert {one.outcome.code for one in results if isinstance(one.outcome, Fault)} == {"judge_unsure"}


async def test_several_models_are_drawn_by_the_seed_and_can_be_named(path: Path) -> None:
    models = {"a": {"path": str(path)}, "b": {"path": str(path), "max_length": 4096, "weight": 2.0}}
    items = [rollout(str(number), rollout_id=str(number)) for number in range(8)]
    async with bench(bind(declared(Judge), {"models": models})) as running:
        first = await running.outcomes("judge", items, ANY)
        again = await running.outcomes("judge", items[::-1], ANY)
        fault = await running.fault("judge", items[0], {"model": "c"})
    assert [one.evidence for one in first if isinstance(one, Verdict)] == [
        one.evidence for one in again[::-1] if isinstance(one, Verdict)
    ]
    assert (fault.party.value, fault.code) == ("caller", "unknown_model")
    assert "a, b" in fault.message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "give one judge"),
        ({"path": "x", "base_url": "http://a", "model": "m"}, "exclude each other"),
        ({"base_url": "http://a/v1"}, "go together"),
        ({"path": "x", "temperature": 1.0}, "likeliest verdict"),
        ({"models": {"a": {}}}, r"models\.a: give base_url"),
        ({"models": {"a": {"path": "x", "weight": 0}}}, "no weight is positive"),
        ({"path": "x", "models": {"a": {"path": "x"}}}, "give one judge"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        bind(declared(Judge), settings)


async def test_a_directory_without_a_model_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"judge: .*config\.json"):
        async with bench(bind(declared(Judge), {"path": str(tmp_path)})):
            pass
