"""The log says what holds up the event loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import subprocess
import sys
import time

import pytest

from reward_servers.process.loop_watch import watched_loop


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "event loop has been held" in record.getMessage()]


def _dawdle(caplog: pytest.LogCaptureFixture, number: int) -> None:
    """Hold the loop until that is told, and for a while longer."""
    ends = time.monotonic() + 60
    while len(_told(caplog)) < number and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.3)


async def test_what_holds_the_loop_is_named_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="assay.server"):
        async with watched_loop(0.1):
            for number in (1, 2):
                _dawdle(caplog, number)
                assert len(_told(caplog)) == number
                await asyncio.sleep(0.1)
    assert all("in _dawdle" in one for one in _told(caplog))
    assert all("Where that is a verifier" in one for one in _told(caplog)), "what holds it here is none"


async def test_waiting_does_not_hold_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="assay.server"):
        async with watched_loop(5.0):
            await asyncio.sleep(0.6)
    assert _told(caplog) == []


def test_a_process_that_was_stopped_blames_no_verifier() -> None:
    program = (
        "import asyncio, logging, sys\n"
        "from reward_servers.process.loop_watch import watched_loop\n"
        "logging.basicConfig(stream=sys.stdout)\n"
        "async def main():\n"
        "    async with watched_loop(0.2):\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(3)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        assert process.communicate(timeout=60)[0] == ""
