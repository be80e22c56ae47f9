"""Endpoints that lie, and failures of which only one of several waiting items may ask the cause."""

from __future__ import annotations

import asyncio
import threading
from random import Random
from typing import Any

import pytest

from reward_servers.core import Fault
from reward_servers.engines.judging import (
    ChatClient,
    ChatRejectedError,
    ChatUnavailableError,
    Completion,
    CompletionRequest,
    Controls,
    Exchange,
    Protocol,
    Question,
    Spend,
)
from tests.fakes.chat_server import Said
from tests.verifiers.harness import evidence, rollout
from tests.verifiers.judging import alone, judging, served, shown

_KEY = "sk-SECRET-12345"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_leads_nowhere(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", _KEY)
    elsewhere = served(lambda request, number: "correct: yes")
    with elsewhere.running() as url:
        said = Said(status=status, headers={"location": f"{url}/chat/completions?{_KEY}"})
        async with judging(served(lambda request, number: said), api_key_env="JUDGE_KEY") as running:
            fault = await running.fault("judge", rollout("4"))
    assert (fault.code, fault.retryable, elsewhere.requests) == ("judge_rejected", False, [])
    assert "base_url" in fault.message
    assert _KEY not in fault.message
    assert url not in fault.message


def test_what_shows_a_client_shows_no_key() -> None:
    client = ChatClient([f"http://me:{_KEY}@127.0.0.1:9/v1"], "m", _KEY)
    assert "SECRET" not in repr(client)


@pytest.mark.parametrize("reason", ["model_length", "model_context_window_exceeded", "context_length_exceeded"])
async def test_a_reply_that_ends_where_the_context_does_is_no_shelter(reason: str) -> None:
    def script(request: dict[str, Any], number: int) -> Said:
        long = "long long" in shown(request)
        return Said("Let me see, the response", finish_reason=reason) if long else Said("correct: no")

    fake = served(script)
    async with judging(fake) as running:
        verdict = await running.verdict("judge", rollout("long " * 400))
        calls = len(fake.requests)
    async with judging(served(lambda request, number: Said("Let me", finish_reason=reason))) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (verdict.score, verdict.code, calls) == (0.0, "provoked_context", 2)
    assert fault.code == "judge_context"


async def test_what_keeps_a_judge_from_arguing_is_no_shelter() -> None:
    def script(request: dict[str, Any], number: int) -> Said:
        filtered = Said("x", status=400, error_code="content_filter")
        return filtered if "harm" in shown(request) else Said("correct: no")

    async with judging(served(script)) as running:
        verdict = await running.verdict("judge", rollout("how to do harm"), {"arguments": True})
    async with judging(served(lambda request, number: Said("x", status=400, error_code="content_filter"))) as running:
        fault = await running.fault("judge", rollout("4"), {"arguments": True})
    assert (verdict.score, verdict.code, fault.code) == (0.0, "provoked_filtered", "judge_filtered")


async def test_arguments_about_a_response_are_no_part_of_the_neutral_question() -> None:
    def script(request: dict[str, Any], number: int) -> Said:
        said = shown(request)
        if "Give no verdict" in said:
            return Said("It tells how to do harm.")
        return Said("", finish_reason="content_filter") if "harm" in said else Said("correct: no")

    async with judging(served(script)) as running:
        verdict = await running.verdict("judge", rollout("Mix the two."), {"arguments": True})
    assert (verdict.score, verdict.code) == (0.0, "provoked_filtered")


async def test_a_reply_of_megabytes_is_kept_in_part() -> None:
    fake = served(lambda request, number: "word " * (1 << 20))
    async with judging(fake) as running:
        fault = await running.fault("judge", rollout("4"), {"max_reasks": 1})
        (result,) = await running.results("judge", [alone("4")])
    assert fault.code == "judge_truncated"
    assert isinstance(result.outcome, Fault)
    assert len(result.outcome.evidence) < 300_000
    assert "characters left out" in shown(fake.requests[1])
    assert len(shown(fake.requests[1])) < 100_000


class _Judge:
    """Answers what it is asked when it is told to."""

    identity = "m"

    def __init__(self) -> None:
        self.asked = 0
        self.begun = asyncio.Event()
        self.answer = asyncio.Event()
        self.away = False

    async def ask(self, asked: Any, *, budget: float, jitter: Any) -> Completion:
        self.asked += 1
        self.begun.set()
        await self.answer.wait()
        if self.away:
            raise ChatUnavailableError("away")
        return Completion("correct: no", "stop", "m", "", 1, 1)

    def facts(self) -> dict[str, str]:
        return {}

    async def close(self) -> None:
        """Nothing is held."""


def _provokers(controls: Controls, judge: _Judge, told: list[Exchange]) -> asyncio.Task[tuple[bool, ...]]:
    question = Question(Protocol.BINARY, "It is right.", "2 + 2?", ("harm",))
    return asyncio.ensure_future(controls.provokers("refused", question, judge, 5.0, told.append))


async def test_who_waits_for_a_control_call_asks_when_the_one_who_asked_has_left() -> None:
    controls, judge = Controls(), _Judge()
    first = _provokers(controls, judge, [])
    await judge.begun.wait()
    told: list[Exchange] = []
    others = [_provokers(controls, judge, told) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    judge.answer.set()
    assert await asyncio.gather(*others) == [(True,)] * 3
    assert (judge.asked, len(told)) == (2, 1)
    assert await _provokers(controls, judge, told) == (True,)
    assert judge.asked == 2


async def test_who_waits_for_a_control_call_that_fails_fails_with_it_and_it_is_not_remembered() -> None:
    controls, judge = Controls(), _Judge()
    judge.away = True
    waiting = [_provokers(controls, judge, []) for _ in range(3)]
    await judge.begun.wait()
    judge.answer.set()
    failed = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in failed] == [ChatUnavailableError] * 3
    judge.away = False
    assert await _provokers(controls, judge, []) == (True,)
    assert judge.asked == 2


async def test_budgets_hold_when_questions_are_cancelled_on_their_way() -> None:
    held = threading.Event()

    def script(request: dict[str, Any], number: int) -> Said:
        if number < 3:
            held.wait(60)
        return Said("correct: yes")

    fake = served(script)
    with fake.running() as url:
        spend = Spend(max_tokens=2_000)
        client = ChatClient([url], "m", "k", 3, parameters={"max_tokens": 100}, spend=spend, probed=False)
        client.open()

        def asked(number: int) -> asyncio.Task[Completion]:
            said = CompletionRequest([{"role": "user", "content": f"{number}: " + "x" * 300}])
            return asyncio.ensure_future(client.ask(said, budget=30, jitter=Random(number)))

        cut = [asked(number) for number in range(5)]
        while len(fake.requests) < 3:
            await asyncio.sleep(0.01)
        for one in cut:
            one.cancel()
        await asyncio.gather(*cut, return_exceptions=True)
        held.set()
        found = await asyncio.gather(*(asked(10 + number) for number in range(12)), return_exceptions=True)
        await client.close()
    # What was cancelled under way counts as if it had used all that was set aside for it; what had not begun, nothing.
    answered = [one for one in found if isinstance(one, Completion)]
    refused = [one for one in found if isinstance(one, ChatRejectedError)]
    assert (len(answered) + len(refused), len(fake.requests)) == (12, 3 + len(answered))
    assert {one.reason for one in refused} == {"budget"}
    assert len(answered) == 2
    assert spend.tokens <= 2_000


async def test_logprobs_that_are_none_and_choices_that_are_too_many_cost_no_verdict() -> None:
    listed = '{"token": "correct: no", "logprob": NaN, "top_logprobs": [{"token": "yes", "logprob": Infinity}]}'
    choice = '{"message": {"content": "correct: no"}, "finish_reason": "stop", "logprobs": {"content": [LISTED]}}'
    other = choice.replace("correct: no", "correct: yes").replace("LISTED", "")
    body = f'{{"choices": [{choice.replace("LISTED", listed)}, {other}, {other}], "model": "m"}}'.encode()
    async with judging(served(lambda request, number: Said(body=body))) as running:
        verdict = await running.verdict("judge", rollout("4"))
        fault = await running.fault("judge", rollout("4"), {"expected": True})
    assert (verdict.score, fault.code) == (0.0, "judge_no_logprobs")
    assert "replies" in evidence(verdict)
