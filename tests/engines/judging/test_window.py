"""The window of requests that an endpoint is given."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest

from reward_servers.engines.judging import Prices, Spend, _window
from reward_servers.engines.judging._budget import SpendExceededError
from reward_servers.engines.judging._window import Window


@dataclass
class _Clock:
    """A clock of the window's that stands still; that of the loop goes on."""

    now: float = 1_000.0

    def monotonic(self) -> float:
        return self.now


def _stop_the_clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(_window, "time", clock)
    return clock


async def _enter(window: Window, count: int) -> list[int]:
    return [await window.enter(time.monotonic() + 60, lambda: 5.0) for _ in range(count)]


async def test_the_window_opens_as_requests_succeed_and_never_beyond_what_the_operator_says() -> None:
    window = Window(12)
    await _enter(window, 8)
    waiting = asyncio.ensure_future(window.enter(time.monotonic() + 60, lambda: 5.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    window.succeeded()
    assert await waiting == 9
    for _ in range(50):
        window.succeeded()
    assert window.limit == 12
    await _enter(window, 3)
    with pytest.raises(TimeoutError):
        await window.enter(time.monotonic() + 0.01, lambda: 5.0)


async def test_after_a_refusal_it_stays_below_what_was_refused() -> None:
    window = Window(64)
    for _ in range(40):
        window.succeeded()
    await _enter(window, 17)
    window.refused(time.monotonic(), 17, None)
    assert window.limit == 16
    for _ in range(500):
        window.succeeded()
    assert window.limit == 16


async def test_refusals_that_come_again_narrow_it_and_those_of_one_burst_count_once() -> None:
    window = Window(64)
    for _ in range(40):
        window.succeeded()
    sent_at = time.monotonic()
    for _ in range(10):
        window.refused(sent_at, 17, None)
    assert window.limit == 16
    await asyncio.sleep(0.01)
    window.refused(time.monotonic(), 16, None)
    assert window.limit == pytest.approx(11.2)


async def test_a_pause_holds_everyone_back_and_one_that_is_too_long_is_refused() -> None:
    window = Window(8)
    window.refused(time.monotonic(), 2, 60.0)
    assert window.room == 0
    window = Window(8)
    window.refused(time.monotonic(), 2, 0.05)
    began = time.monotonic()
    await window.enter(began + 60, lambda: 1.0)
    assert time.monotonic() >= window.resume_at
    window.refused(time.monotonic(), 2, 30.0)
    with pytest.raises(TimeoutError):
        await window.enter(time.monotonic() + 60, lambda: 1.0)


async def test_who_gives_up_leaves_the_queue() -> None:
    window = Window(1)
    await _enter(window, 1)
    gone = asyncio.ensure_future(window.enter(time.monotonic() + 60, lambda: 5.0))
    behind = asyncio.ensure_future(window.enter(time.monotonic() + 60, lambda: 5.0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    window.leave()
    assert await behind == 1


async def test_many_failures_in_a_row_give_the_endpoint_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _stop_the_clock(monkeypatch)
    window = Window(8)
    sent_at = clock.now
    for _ in range(7):
        window.failed(sent_at)
    assert window.room == 8
    window.failed(sent_at)
    assert window.room == 0
    assert 0 < window.pause <= 1.0


async def test_what_was_in_flight_when_a_rest_began_does_not_lengthen_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = _stop_the_clock(monkeypatch)
    window = Window(64)
    sent_at = clock.now
    clock.now += 0.001
    for _ in range(40):
        window.failed(sent_at)
    assert window.pause <= 1.0
    clock.now += 0.001
    window.failed(clock.now)
    assert 1.0 < window.pause <= 2.0


async def test_a_spend_is_reserved_and_never_exceeded() -> None:
    spend = Spend(max_tokens=1_000, prices=Prices(1.0, 2.0))
    first = await spend.reserve(400, 200)
    second = asyncio.ensure_future(spend.reserve(600, 200))
    await asyncio.sleep(0)
    assert not second.done(), "it waits for what the first one does not use"
    spend.settle(first, 100, 50)
    spend.release(await second)
    assert (spend.tokens, spend.requests) == (150, 2)
    assert spend.cost == pytest.approx(200e-6)
    with pytest.raises(SpendExceededError, match="max_tokens"):
        await spend.reserve(700, 200)
    untold = await spend.reserve(100, 100)
    spend.settle(untold)
    assert spend.tokens == 350
    money = Spend(max_cost=0.001, prices=Prices(1.0, 1.0))
    with pytest.raises(SpendExceededError, match="max_cost"):
        await money.reserve(900, 200)
