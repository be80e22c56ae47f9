"""The log says what holds up the event loop."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from reward_servers.loop_watch import watched_loop


def _dawdle() -> None:
    time.sleep(1.0)


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "event loop has been held" in record.getMessage()]


async def test_what_holds_the_loop_is_named_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="assay.server"):
        async with watched_loop(0.1):
            for number in (1, 2):
                _dawdle()
                await asyncio.sleep(0.6)
                assert len(_told(caplog)) == number
    assert all("in _dawdle" in one for one in _told(caplog))


async def test_waiting_does_not_hold_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="assay.server"):
        async with watched_loop(5.0):
            await asyncio.sleep(0.6)
    assert _told(caplog) == []
