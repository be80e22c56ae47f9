"""Signals that are sent to all processes of a service: no program is blamed for its end by one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest

import sandbox
from sandbox import Exit, Limits, Prepared, Program, Sandbox
from tests.attacks._host import descendants
from tests.sandbox.conftest import Runner

_TO_ALL = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def _sleeping(seconds: str) -> bool:
    """Whether a program has begun that sleeps for so long."""
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
    return False


@pytest.mark.parametrize("number", _TO_ALL)
@pytest.mark.parametrize("swallows", [False, True])
def test_a_signal_to_all_processes_is_no_doing_of_the_program(number: signal.Signals, swallows: bool) -> None:
    seconds, ends = "1.2345", threading.Event()
    # Helpers of this process, which other tests need, such as what `multiprocessing` keeps.
    others = set(descendants(os.getpid()))

    def strike() -> None:
        while not _sleeping(seconds) and not ends.is_set():
            time.sleep(0.005)
        for pid in descendants(os.getpid(), others):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    text = f"sleep {seconds} && echo right" + (" || echo wrong; exit 0" if swallows else "")
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("bash", text.encode()))
        assert isinstance(prepared, Prepared)
        striker = threading.Thread(target=strike)
        striker.start()
        try:
            result = box.run(prepared, limits=Limits(wall_s=60))
        finally:
            ends.set()
            striker.join()
    assert (result.ended, result.exit_code, result.stdout) == (Exit.EXITED, 0, b"right\n")


@pytest.mark.parametrize("number", _TO_ALL)
@pytest.mark.parametrize("pretends", [False, True])
def test_a_program_that_ends_by_a_signal_of_its_own_has_ended_so(
    run: Runner, box: Sandbox, number: signal.Signals, pretends: bool
) -> None:
    signals = [f"kill -{number} 1"] * pretends
    result = run("\n".join(["trap - INT", *signals, f"kill -{number} $$", "sleep 5"]), language="bash")
    assert (result.ended, result.signal) == (Exit.SIGNALED, number)
