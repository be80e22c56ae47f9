"""A judge whose endpoint fails, is slow or is full; keys and spending."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from reward_servers.core import Fault, StartupError, Verdict, bind
from reward_servers.verifiers.judge import Judge
from tests.fakes.chat_server import Said
from tests.typed import declared
from tests.verifiers.harness import bench, rollout
from tests.verifiers.judging import alone, judging, served, shown


async def test_passing_failures_are_retried() -> None:
    fake = served([Said(status=500), Said(hang_up=True), "correct: yes"])
    async with judging(fake) as running:
        assert (await running.verdict("judge", rollout("4"))).score == 1.0
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    "said", [Said(status=503), Said(hang_up=True), Said(body=b"<html>"), Said(body=b"{}"), Said(delay=60.0)]
)
async def test_a_judge_that_stays_away_is_a_retryable_fault(said: Said) -> None:
    # On a busy machine the first request may take all the time; then there is more of it.
    for seconds in (1.2, 6.0, 30.0):
        fake = served(lambda request, number: said)
        async with judging(fake, total_timeout_s=seconds, timeout_s=seconds / 4) as running:
            fault = await running.fault("judge", rollout("4"))
        assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_unavailable", True)
        if len(fake.requests) >= 2:
            break
    assert len(fake.requests) >= 2


async def test_an_unreachable_judge_is_a_retryable_fault() -> None:
    settings = {"base_url": "http://127.0.0.1:9/v1", "model": "m", "total_timeout_s": 1}
    async with bench(bind(declared(Judge), settings)) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (fault.code, fault.retryable) == ("judge_unavailable", True)


@pytest.mark.parametrize(
    "said", [Said(status=401), Said(status=400), Said(status=429, error_code="insufficient_quota")]
)
async def test_what_retrying_cannot_mend_is_told_at_once(said: Said) -> None:
    fake = served(lambda request, number: said)
    async with judging(fake) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_rejected", False)
    assert len(fake.requests) == 1


async def test_a_pause_that_the_judge_asks_for_holds_every_request_back() -> None:
    opens_at: list[float] = []

    def script(request: dict[str, Any], number: int) -> Said:
        if number == 0:
            opens_at.append(time.monotonic() + 0.9)
            return Said(status=429, headers={"retry-after": "1"})
        return Said("correct: yes") if time.monotonic() >= opens_at[0] else Said(status=400)

    fake = served(script)
    async with judging(fake, concurrency=1) as running:
        outcomes = await running.outcomes("judge", [rollout(str(one), rollout_id=str(one)) for one in range(3)])
    assert all(isinstance(one, Verdict) for one in outcomes)
    assert len(fake.requests) == 4


async def test_a_pause_beyond_the_budget_is_told_to_the_caller() -> None:
    fake = served(lambda request, number: Said(status=429, headers={"retry-after": "600"}))
    async with judging(fake, total_timeout_s=5) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (fault.code, fault.retry_after, len(fake.requests)) == ("judge_unavailable", 600.0, 1)


async def test_the_operator_bounds_what_is_in_flight() -> None:
    together = threading.Barrier(4)

    def script(request: dict[str, Any], number: int) -> Said:
        # Answers go out when as many are in flight as may be.
        together.wait(60)
        return Said("correct: yes")

    fake = served(script)
    items = [rollout(str(one), rollout_id=str(one)) for one in range(40)]
    async with judging(fake, concurrency=4) as running:
        await running.outcomes("judge", items)
    assert fake.peak == 4
    assert fake.connections <= 5


async def test_one_slow_item_delays_no_other() -> None:
    others = threading.Semaphore(0)

    def script(request: dict[str, Any], number: int) -> Said:
        if "slow" not in shown(request):
            others.release()
            return Said("correct: yes")
        all_came = all(others.acquire(timeout=60) for _ in range(5))
        return Said("correct: yes") if all_came else Said(status=400)

    items = [rollout("slow"), *(rollout(f"quick {one}", rollout_id=str(one)) for one in range(5))]
    async with judging(served(script)) as running:
        outcomes = await running.outcomes("judge", items)
    assert all(isinstance(one, Verdict) for one in outcomes)


async def test_what_may_be_spent_is_never_exceeded() -> None:
    fake = served(lambda request, number: "correct: yes")
    items = [rollout(str(one), rollout_id=str(one)) for one in range(12)]
    async with judging(fake, spend={"max_requests": 5}, probe=False) as running:
        outcomes = await running.outcomes("judge", items)
    assert len(fake.requests) == 5
    assert sum(isinstance(one, Verdict) for one in outcomes) == 5
    assert {one.code for one in outcomes if isinstance(one, Fault)} == {"judge_budget"}


async def test_what_calls_under_way_do_not_use_is_spent_on_those_that_wait() -> None:
    fake = served(lambda request, number: Said("correct: yes", delay=0.05))
    items = [rollout(str(one), rollout_id=str(one)) for one in range(8)]
    # A call reserves about 4,000 tokens and uses 107.
    async with judging(fake, spend={"max_tokens": 5_000}, probe=False) as running:
        outcomes = await running.outcomes("judge", items)
    assert all(isinstance(one, Verdict) for one in outcomes)
    assert (len(fake.requests), fake.peak) == (8, 1)


async def test_another_address_takes_over() -> None:
    good = served(lambda request, number: "correct: yes")
    bad = served(lambda request, number: Said(status=500))
    with good.running() as one, bad.running() as other:
        settings = {"base_url": [other, one], "model": "m", "total_timeout_s": 20}
        async with bench(bind(declared(Judge), settings)) as running:
            outcomes = await running.outcomes("judge", [rollout(str(n), rollout_id=str(n)) for n in range(20)])
    assert all(isinstance(one, Verdict) for one in outcomes)
    assert len(good.requests) == 20


async def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-test")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    fake = served(["correct: yes", "correct: yes"])
    async with judging(fake, api_key_env="JUDGE_KEY") as running:
        await running.verdict("judge", rollout("4"))
    assert fake.keys == ["Bearer sk-test"]
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(StartupError, match="JUDGE_KEY"):
        async with judging(fake, api_key_env="JUDGE_KEY"):
            pass


async def test_a_key_that_an_endpoint_repeats_reaches_no_message(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-SECRET-12345"
    monkeypatch.setenv("JUDGE_KEY", key)
    for said in (
        Said(f"Incorrect API key provided: {key}", status=401, error_code=key),
        Said(f"bad request with {key}", status=400),
        Said(f"try later, {key}", status=503, headers={"x-key": key}),
        Said(body=f"<html>{key}</html>".encode()),
    ):
        fake = served([said] * 9)
        async with judging(fake, api_key_env="JUDGE_KEY", total_timeout_s=1) as running:
            fault = await running.fault("judge", rollout("4"))
        assert key not in repr(fault)
    named = (
        b'{"choices": [{"message": {"content": "correct: no"}, "finish_reason": "stop"}], "model": "m ' + key.encode()
    )
    async with judging(served([Said(body=named + b'"}')]), api_key_env="JUDGE_KEY") as running:
        verdict = await running.verdict("judge", rollout("4"))
    assert verdict.score == 0.0
    assert key not in repr(verdict)
    assert key not in "".join(capfd.readouterr())


async def test_who_waits_at_an_address_that_is_left_alone_goes_to_another() -> None:
    good = served(lambda request, number: "correct: yes")
    bad = served(lambda request, number: Said(status=500, delay=0.05))
    with good.running() as one, bad.running() as other:
        settings = {"base_url": [other, one], "model": "m", "total_timeout_s": 2, "concurrency": 8}
        async with bench(bind(declared(Judge), settings)) as running:
            outcomes = await running.outcomes("judge", [rollout(str(n), rollout_id=str(n)) for n in range(120)])
    assert [one for one in outcomes if not isinstance(one, Verdict)] == []
    assert len(good.requests) == 120


@pytest.mark.parametrize(
    "body",
    [b"[" * 2000, b'{"a":' * 5000 + b"1" + b"}" * 5000, b'{"choices": [{"message": "no"}]}', b" " * (17 << 20)],
    ids=["open", "deep", "odd", "long"],
)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_cannot_be_read_is_never_a_score(body: bytes, status: int) -> None:
    fake = served(lambda request, number: Said(body=body, status=status))
    async with judging(fake, total_timeout_s=1.0) as running:
        fault = await running.fault("judge", rollout("4"))
    assert (fault.party.value, fault.code, fault.retryable) == ("upstream", "judge_unavailable", True)


@pytest.mark.parametrize(
    "headers",
    [{"retry-after": "0"}, {"retry-after": "Thu, 01 Jan 1998 00:00:00 GMT"}, {"retry-after-ms": "nan"}],
    ids=["zero", "past", "nan"],
)
async def test_a_pause_of_nothing_is_no_hot_loop(headers: dict[str, str]) -> None:
    fake = served(lambda request, number: Said(status=429, headers=headers))
    async with judging(fake, total_timeout_s=2) as running:
        fault = await running.fault("judge", rollout("4"))
    assert fault.code == "judge_unavailable"
    assert len(fake.requests) <= 8


@pytest.mark.parametrize("told", ["-5", "1e300", "1" + "0" * 400, "NaN", '"5"', "true", "[]"])
async def test_usage_that_is_no_number_of_tokens_costs_no_verdict_and_counts_for_nothing(told: str) -> None:
    said = '{"choices": [{"message": {"content": "correct: no"}, "finish_reason": "stop"}], "model": "m", "usage": '
    body = f'{said}{{"prompt_tokens": {told}, "completion_tokens": 3}}}}'.encode()
    async with judging(served(lambda request, number: Said(body=body))) as running:
        (result,) = await running.results("judge", [alone("4")])
    assert isinstance(result.outcome, Verdict)
    assert result.usage is not None
    assert (result.usage.input_tokens, result.usage.output_tokens) == (0, 3)
