"""Requests and tokens per minute."""

from __future__ import annotations

import time

import pytest

from reward_servers.engines.judging import _rate


class _Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr("reward_servers.engines.judging._rate.time.monotonic", clock.monotonic)
    monkeypatch.setattr("reward_servers.engines.judging._rate.asyncio.sleep", clock.sleep)
    return clock


async def _sent(rate: _rate.Rate, clock: _Clock, requests: int) -> list[float]:
    times = []
    for _ in range(requests):
        counted = await rate.wait(3_000, 500)
        rate.settle(counted, 3_000, 750, 250)
        times.append(clock.now)
    return times


async def test_no_minute_has_more_requests_than_it_may_but_for_a_moments_worth(clock: _Clock) -> None:
    times = await _sent(_rate.Rate(120, 0), clock, 600)
    for start in times:
        assert sum(start <= one < start + 60 for one in times) <= 120 + 2
    assert times[-1] - times[0] <= 300


async def test_tokens_are_counted_as_they_were_used_and_not_as_they_were_reserved(clock: _Clock) -> None:
    times = await _sent(_rate.Rate(0, 60_000), clock, 300)
    # 1,000 tokens each: one second's worth.
    assert times[-1] - times[0] == pytest.approx(299, abs=5)


async def test_what_was_not_used_is_not_saved_up(clock: _Clock) -> None:
    rate = _rate.Rate(60, 0)
    await _sent(rate, clock, 1)
    clock.now += 600
    times = await _sent(rate, clock, 10)
    assert times[-1] - times[0] >= 7


async def test_without_a_bound_nothing_waits() -> None:
    rate = _rate.Rate(0, 0)
    before = time.monotonic()
    assert [await rate.wait(10**9, 10**9) for _ in range(3)] == [0.0] * 3
    assert rate._requests_at < before
