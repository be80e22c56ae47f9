"""Panels of judges, over a real HTTP server; and a judge that argues before it decides."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from reward_servers.core import RequestError, Verdict, bind
from reward_servers.verifiers.judge import Judge
from reward_servers.verifiers.panel import panel
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, evidence, rollout
from tests.verifiers.judging import alone, judging, served, shown, token_of

Decide = Callable[[str], Said | str]


@asynccontextmanager
async def sitting(
    decide: Decide, *names: str, patience_s: float = 120.0
) -> AsyncIterator[tuple[Bench, FakeChatServer]]:
    """A panel of models by name."""
    fake = FakeChatServer(lambda request, number: decide(request["model"]))
    with fake.running() as url:
        models = {name: {"base_url": url, "model": name} for name in names}
        async with bench(panel, bind(declared(Judge), {"models": models, "total_timeout_s": patience_s})) as running:
            yield running, fake


def named(*names: str, **options: Any) -> dict[str, Any]:
    return {"judges": dict.fromkeys(names, options)}


def says(yes: str) -> Decide:
    return lambda model: f"correct: {'yes' if model in yes else 'no'}"


async def test_votes_of_one_model_are_asked_with_seeds_and_tokens_of_their_own() -> None:
    fake = served(lambda request, number: "correct: yes" if number else "correct: no")
    with fake.running() as url:
        async with bench(panel, bind(declared(Judge), {"base_url": url, "model": "m"})) as running:
            verdict = await running.verdict("panel", rollout("4"), {"votes": 4})
    assert verdict.score == pytest.approx(0.75)
    assert dict(verdict.aspects) == {"votes": 4.0, "agreement": pytest.approx(0.5)}
    assert len({request["seed"] for request in fake.requests}) == 4
    assert len({token_of(request) for request in fake.requests}) == 4


@pytest.mark.parametrize(("how", "score"), [("mean", 2 / 3), ("median", 1.0), ("majority", 1.0)])
async def test_several_models_vote(how: str, score: float) -> None:
    async with sitting(says("ab"), "a", "b", "c") as (running, _):
        verdict = await running.verdict("panel", rollout("4"), {**named("a", "b", "c"), "combine": how})
    assert verdict.score == pytest.approx(score)
    assert set(evidence(verdict)["used"]) == {"judge"}


async def test_a_majority_stops_when_no_further_vote_can_change_it() -> None:
    async with sitting(says("abc"), "a", "b", "c", "d", "e") as (running, fake):
        verdict = await running.verdict("panel", rollout("4"), {**named(*"abcde"), "combine": "majority"})
    assert (verdict.score, evidence(verdict)["asked"], len(fake.requests)) == (1.0, 3, 3)


@pytest.mark.parametrize(
    ("quorum", "lost", "asked", "score"),
    [(2, "", 3, 1.0), (3, "", 3, 1.0), (4, "", 4, 1.0), (2, "a", 4, 1.0), (5, "", 5, 1.0), (4, "ab", 4, None)],
)
async def test_a_majority_with_a_quorum_asks_no_further_than_a_vote_can_change_it(
    quorum: int, lost: str, asked: int, score: float | None
) -> None:
    decide: Decide = lambda model: Said(status=401) if model in lost else "correct: yes"  # noqa: E731
    options = {**named(*"abcde"), "combine": "majority", "quorum": quorum}
    async with sitting(decide, *"abcde") as (running, fake):
        outcome = (await running.outcomes("panel", [rollout("4")], options))[0]
    assert getattr(outcome, "score", None) == score
    assert len(fake.requests) == asked
    if isinstance(outcome, Verdict):
        assert evidence(outcome)["asked"] == asked
    else:
        assert outcome.code == "judge_rejected"  # type: ignore[union-attr]


async def test_a_mean_with_a_quorum_asks_everyone() -> None:
    async with sitting(says("abc"), *"abcde") as (running, fake):
        verdict = await running.verdict("panel", rollout("4"), {**named(*"abcde"), "quorum": 2})
    assert verdict.score == pytest.approx(0.6)
    assert len(fake.requests) == 5


async def test_a_missing_vote_costs_the_score_only_where_it_could_have_changed_it() -> None:
    def decide(model: str) -> Said | str:
        return Said(status=401) if model == "c" else says("ab")(model)

    async with sitting(decide, "a", "b", "c", "d") as (running, _):
        options = {"combine": "majority"}
        three = await running.verdict("panel", rollout("4"), {**named("a", "b", "c"), **options})
        fault = await running.fault("panel", rollout("4"), {**named("a", "c", "d"), **options})
        mean = await running.fault("panel", rollout("4"), named("a", "b", "c"))
        quorum = await running.verdict("panel", rollout("4"), {**named("a", "b", "c"), "quorum": 2})
    assert (three.score, quorum.score) == (1.0, 1.0)
    assert (fault.code, mean.code) == ("judge_rejected", "judge_rejected")
    (failed,) = evidence(quorum)["failed"]
    assert (failed["judge"], failed["fault"]) == ("c", "judge_rejected")
    assert "401" in failed["message"]
    votes = {one["judge"]: one for one in evidence(quorum)["votes"]}
    assert set(votes) == {"a", "b"}
    for name, one in votes.items():
        assert (one["score"], one["weight"], one["evidence"]["model"]) == (1.0, 1.0, f"{name}-served")
        assert one["evidence"]["replies"][-1]["text"] == "correct: yes"


async def test_a_panel_of_known_reliability_asks_until_it_is_certain_enough() -> None:
    judges = {
        "weak": {"right_yes": 0.7, "wrong_yes": 0.3, "cost": 1.0},
        "strong": {"right_yes": 0.98, "wrong_yes": 0.02, "cost": 20.0},
    }
    async with sitting(says("strong weak"), "weak", "strong") as (running, fake):
        dear = await running.verdict("panel", rollout("4"), {"judges": judges, "combine": "bayes"})
        thrifty = await running.verdict(
            "panel", rollout("4"), {"judges": judges, "combine": "bayes", "bits_per_cost": 0.05, "certainty": 0.6}
        )
    assert [request["model"] for request in fake.requests] == ["strong", "weak"]
    assert dear.score == pytest.approx(0.98)
    assert thrifty.score == pytest.approx(0.7)


async def test_a_panel_whose_next_judge_is_away_asks_no_other_in_its_place() -> None:
    judges = {"a": {"right_yes": 0.9, "wrong_yes": 0.1}, "b": {"right_yes": 0.8, "wrong_yes": 0.2}}
    decide: Decide = lambda model: Said(status=503) if model == "a" else "correct: yes"  # noqa: E731
    async with sitting(decide, "a", "b", patience_s=1.0) as (running, fake):
        fault = await running.fault("panel", rollout("4"), {"judges": judges, "combine": "bayes"})
    assert (fault.code, fault.retryable) == ("judge_unavailable", True)
    assert {request["model"] for request in fake.requests} == {"a"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ask": {"model": "a"}}, "the panel sets it"),
        ({"votes": 2, "quorum": 3}, "more than the 2 votes"),
        ({"combine": "bayes", "quorum": 1}, "quorum is for votes"),
        ({"combine": "average"}, "combine"),
        ({"ask": {"criterion": "Truth."}}, "ask.criterion: there is no such field; did you mean criteria"),
        ({"ask": {"protocol": "likert_1_5", "reply": "prometheus"}}, "needs a template"),
        ({"ask": {"max_reasks": 9}}, "ask.max_reasks"),
    ],
)
async def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    async with sitting(says("a"), "a") as (running, _):
        with pytest.raises(RequestError, match=message):
            await running.outcomes("panel", [rollout("4")], options)


def arguing(request: dict[str, Any], number: int) -> str:
    """Argue, then believe whichever argument stands first."""
    text = shown(request)
    if "Give no verdict" in text:
        return "It IS so. correct: yes" if "that the response meets" in text else "It is NOT so."
    first, second = text.index("It IS so."), text.index("It is NOT so.")
    return f"correct: {'yes' if first < second else 'no'} [{token_of(request)}]"


async def test_a_judge_argues_both_sides_and_decides_with_each_first_once() -> None:
    fake = served(arguing)
    async with judging(fake) as running:
        result = (await running.results("judge", [alone("four")], {"arguments": True}))[0]
    verdict = result.outcome
    assert verdict.score == 0.5, "a judge that believes the first argument is of two minds"  # type: ignore[union-attr]
    assert len(fake.requests) == 4
    assert result.usage is not None
    assert result.usage.upstream_calls == 4
    assert result.usage.input_tokens == 400
    seen = evidence(verdict)  # type: ignore[arg-type]
    assert seen["arguments"] == {"favour": "It IS so. correct: yes", "against": "It is NOT so."}
    assert len(seen["orders"]) == 2


async def test_a_verdict_in_an_argument_counts_no_more_than_one_in_the_response() -> None:
    def script(request: dict[str, Any], number: int) -> str:
        return "correct: yes"

    async with judging(served(script)) as running:
        fault = await running.fault("judge", rollout("four"), {"arguments": True, "max_reasks": 0})
    # The judge repeats its own argument: that is no verdict, and none of the response's doing.
    assert fault.code == "judge_unparsed"


async def test_without_arguments_there_is_a_fault() -> None:
    async with judging(served(lambda request, number: Said(status=401))) as running:
        fault = await running.fault("judge", rollout("four"), {"arguments": True})
    assert (fault.party.value, fault.code) == ("upstream", "judge_rejected")
