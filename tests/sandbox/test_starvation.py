"""Who is to blame for a wall limit: the host, or a program that makes its own tasks wait."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil
import pytest

from sandbox import Attempt, Exit, Limits, SandboxInternalError, settle
from tests.sandbox.conftest import Runner


class _Tries:
    """Tries that the wall limit ends and that leave a doubt, and probes, that come out as told."""

    def __init__(self, elapsed_s: Sequence[float], slowness: Sequence[float], excused: bool = False) -> None:
        self._elapsed = iter(elapsed_s)
        self._slowness = iter(slowness)
        self._wall_s = 0.5 if excused else 1.5
        self.factors: list[float] = []

    def attempt(self, wall_factor: float) -> Attempt[str]:
        self.factors.append(wall_factor)
        return Attempt("late", next(self._elapsed), self._wall_s, 0.5, late=True, doubtful=True)

    def measure(self) -> float:
        return next(self._slowness)


def _sleeper(seconds: float) -> Callable[[float], Attempt[str]]:
    """One that only sleeps: the limit of one second ends it, or a longer one does not."""

    def attempt(wall_factor: float) -> Attempt[str]:
        if wall_factor < seconds:
            passed = wall_factor + 0.01
            return Attempt("ended", passed, passed, passed, late=True)
        return Attempt("answers", seconds, seconds, seconds)

    return attempt


def test_what_is_not_late_needs_no_probe() -> None:
    tries = _Tries([], [])
    assert settle(lambda _: Attempt("ends", 0.9, 0.9, 0.9), tries.measure, 1.0) == ("ends", 1.0)


@pytest.mark.parametrize("slowness", [[1.3], [3.9], [9.0, 1.3]])
def test_what_is_late_without_a_doubt_stays_so_unless_the_host_lags_far_behind(slowness: Sequence[float]) -> None:
    assert settle(_sleeper(1.2), _Tries([], slowness).measure, 1.0) == ("ended", 1.0)


def test_no_account_of_a_starved_host_is_final() -> None:
    """A task that waits within the kernel, or has not yet got the processor it waits for, is not seen to wait."""
    results = iter([Attempt("stalled", 1.1, 1.1, 1.1, late=True), Attempt("answers", 0.2, 0.2, 0.2)])
    assert settle(lambda _: next(results), _Tries([], [6.0, 6.0]).measure, 1.0) == ("answers", 1.0)


@pytest.mark.parametrize("seconds", [1.3, 5.9, 7.0])
def test_more_time_on_a_starved_host_is_no_higher_limit(seconds: float) -> None:
    """One that sleeps longer than it may is late on every host, and sheltered by none."""
    assert settle(_sleeper(seconds), _Tries([], [6.0, 6.0]).measure, 1.0) == ("ended", 1.0)


def test_a_stall_of_the_host_does_not_come_three_times() -> None:
    stalled, answers = Attempt("stalled", 3.0, 3.0, 3.0), Attempt("answers", 0.2, 0.2, 0.2)
    results = iter([Attempt("late", 1.1, 1.1, 1.1, late=True), stalled, answers])
    assert settle(lambda _: next(results), _Tries([], [6.0, 6.0]).measure, 1.0) == ("answers", 1.0)


def _stalled(least_s: float) -> Attempt[str]:
    return Attempt("stalled", least_s + 4.0, least_s, least_s, stalled_s=4.0)


def test_a_run_that_is_in_time_by_a_stall_alone_is_tried_again() -> None:
    results = iter([_stalled(0.9), _stalled(0.1), Attempt("answers", 0.2, 0.2, 0.2)])
    assert settle(lambda _: next(results), _Tries([], []).measure, 1.0) == ("answers", 1.0)


def test_a_stall_that_decides_nothing_needs_no_other_try() -> None:
    over = Attempt("has printed too much", 4.5, 0.5, 0.5, stalled_s=4.0, proven=True)
    assert settle(lambda _: over, _Tries([], []).measure, 1.0) == ("has printed too much", 1.0)
    assert settle(lambda _: _stalled(0.9), _Tries([], []).measure, 10.0) == ("stalled", 1.0)


def test_a_program_that_sleeps_through_a_stall_is_judged_by_a_try_without_one() -> None:
    """What it slept in the stall is left out, so that it seems to be in time; without a stall it is not."""
    results = iter([_stalled(0.9), Attempt("ended", 1.01, 1.01, 1.01, late=True)])
    assert settle(lambda _: next(results), _Tries([], [1.0]).measure, 1.0) == ("ended", 1.0)


def test_a_host_that_stalls_in_each_try_is_to_blame() -> None:
    with pytest.raises(SandboxInternalError, match="stood still"):
        settle(lambda _: _stalled(0.9), _Tries([], []).measure, 1.0)


_SLEEPER = r"""
import sandbox
from sandbox import Limits, Program
with sandbox.open_sandbox() as box:
    prepared = box.prepare(Program("python", b"import time\ntime.sleep(1); print(1)"))
    print("begins", flush=True)
    result = box.run(prepared, limits=Limits(wall_s=2.0))
    print(result.ended.value, result.stdout.decode())
"""


def test_a_program_is_not_late_by_a_stall_of_the_whole_host() -> None:
    """The watcher, the run and all between stop for longer than the program may take, as a virtual machine does."""
    with subprocess.Popen([sys.executable, "-c", _SLEEPER], stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "begins\n"
        time.sleep(0.3)  # where the run has not begun by then, or is over, the stall decides nothing
        watching = psutil.Process(watcher.pid)
        stopped = [watching, *watching.children(recursive=True)]
        for number, pause in ((signal.SIGSTOP, 2.5), (signal.SIGCONT, 0.0)):
            for process in stopped:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)
            time.sleep(pause)
        assert watcher.stdout.read().split() == [Exit.EXITED.value, "1"]


def test_a_second_try_with_more_time_may_wait_for_a_processor() -> None:
    results = iter([Attempt("late", 2.0, 1.5, 0.9, late=True, doubtful=True), Attempt("answers", 1.4, 1.3, 0.9)])
    assert settle(lambda _: next(results), _Tries([], [1.5]).measure, 1.0) == ("answers", 1.0)


@pytest.mark.parametrize("slowness", [1.1, 3.9])
def test_what_is_late_with_every_wait_left_out_is_late(slowness: float) -> None:
    results = iter([Attempt("late", 1.2, 1.2, 0.9, late=True, doubtful=True), Attempt("answers", 1.09, 1.09, 1.05)])
    assert settle(lambda _: next(results), _Tries([], [slowness]).measure, 1.0) == ("late", 1.0)


def test_a_second_try_that_exceeds_another_limit_is_final() -> None:
    results = iter([Attempt("late", 2.0, 2.0, 2.0, late=True), Attempt("spins", 3.0, 2.5, 2.5, proven=True)])
    assert settle(lambda _: next(results), _Tries([], [6.0, 6.0]).measure, 1.0) == ("spins", 1.0)


def test_a_quiet_host_is_not_to_blame() -> None:
    tries = _Tries([10.0, 1.1], [1.0, 1.0])
    assert settle(tries.attempt, tries.measure, 1.0) == ("late", 1.0)
    assert tries.factors == [1.0, 1.0]


def test_a_slow_host_gives_as_much_more_time_and_then_a_verdict() -> None:
    tries = _Tries([10.0, 4.1], [4.0, 3.0])
    assert settle(tries.attempt, tries.measure, 1.0) == ("late", 3.0)
    assert tries.factors == [1.0, 4.0]


@pytest.mark.parametrize(("slowness", "excused"), [((20.0, 12.0), False), ((20.0, 12.0), True), ((3.0, 2.5), True)])
def test_a_host_that_starved_the_probe_as_well_is_to_blame(slowness: Sequence[float], excused: bool) -> None:
    tries = _Tries([10.0, 10.0], slowness, excused)
    with pytest.raises(SandboxInternalError, match="starved"):
        settle(tries.attempt, tries.measure, 1.0)


@pytest.mark.parametrize(("slowness", "excused"), [((20.0, 1.0), True), ((4.0, 20.0), False), ((1.5, 20.0), True)])
def test_what_one_probe_does_not_show_is_no_excuse(slowness: Sequence[float], excused: bool) -> None:
    tries = _Tries([10.0, 10.0], slowness, excused)
    assert settle(tries.attempt, tries.measure, 1.0)[0] == "late"


@pytest.mark.parametrize("slowness", [1.0, 5.0])
def test_a_program_that_sleeps_too_long_is_never_in_time(
    run: Runner, monkeypatch: pytest.MonkeyPatch, slowness: float
) -> None:
    monkeypatch.setattr(run.box, "_probe", lambda: slowness)
    assert run("import time\ntime.sleep(0.8)\nprint(1)", limits=Limits(wall_s=0.3)).ended is Exit.WALL_LIMIT


@contextmanager
def _busy(count: int) -> Iterator[None]:
    command = [sys.executable, "-S", "-c", "while True: pass"]
    processes = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


_HERD = """
import os, time
os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
def wake():
    while True: time.sleep(0.006 - time.monotonic() % 0.006)
for _ in range(59):
    if not os.fork(): wake()
wake()
"""


@pytest.mark.parametrize("load", [0, 2])
def test_tasks_that_wait_for_each_other_do_not_stop_the_clock(run: Runner, load: int) -> None:
    with _busy(load * (os.cpu_count() or 1)):
        result = run(_HERD, limits=Limits(cpu_s=20, wall_s=1))
    assert result.ended is Exit.WALL_LIMIT
    assert result.wall_s > 1


_WAITING_MAIN = {
    "thread": "import threading\nt = threading.Thread(target=work)\nt.start()\nt.join()",
    "child": "import os\nif not os.fork():\n work()\n os._exit(0)\nos.wait()",
}


@pytest.mark.parametrize("kind", _WAITING_MAIN)
def test_the_host_is_excused_for_those_who_work_while_the_main_task_waits(run: Runner, kind: str) -> None:
    work = "import time\ndef work():\n while time.process_time() < 0.5: pass\n"
    with _busy(4 * (os.cpu_count() or 1)):
        result = run(work + _WAITING_MAIN[kind] + "\nprint('done')", limits=Limits(cpu_s=1, wall_s=1))
    assert (result.ended, result.stdout) == (Exit.EXITED, b"done\n")
    assert result.elapsed_s > result.wall_s


def test_slowness_is_measured_while_nothing_runs(run: Runner) -> None:
    with _busy(4 * (os.cpu_count() or 1)):
        assert run.box.slowness() > 1.5
