"""Workers that are stopped, killed, taken over or left with children: what it costs, and whom."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from reward_servers.core import ItemLimits, Scorer, bind
from reward_servers.core.executors import _orphans
from reward_servers.core.executors._frames import MessageError
from reward_servers.core.executors._messages import read_message
from reward_servers.core.executors._watchdog import Watchdog, _SlowItem
from reward_servers.core.executors._worker import KillReason
from tests.core.helpers import PATIENCE, as_fault, as_verdict, group, opened, outcomes, request, scored, scoring
from tests.core.unruly import gated, pid, unruly, waiting_at

_PATIENT = replace(pid, limits=ItemLimits(wall_s=600.0))
_ROOMY = replace(unruly, limits=replace(unruly.limits, wall_s=600.0, cpu_s=60.0))
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at as Linux shows them")


def _workers(scorer: Scorer) -> list[int]:
    (executor,) = scorer.hosting.owned
    return [worker.pid for worker in executor._workers if worker.pid and worker.ready]  # type: ignore[attr-defined]


async def _until(true: Callable[[], object], seconds: float = 120.0) -> bool:
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(0.01)
    return True


def _sleepers(argument: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if line[:1] == ["sleep"] and line[1] in (argument, f"{argument}a") and process.info["status"] != "zombie":
            found.append(process)
    return found


@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.002, 0.01, 0.05])
async def test_a_worker_that_is_stopped_for_a_moment_loses_no_item(delay: float) -> None:
    async with scoring(_PATIENT, workers=2) as scorer:
        for _ in range(3):
            assert await _until(lambda: len(_workers(scorer)) == 2)
            stopped = _workers(scorer)
            call = asyncio.create_task(scored(scorer, request("test/pid", group(*["0.001"] * 64))))
            await asyncio.sleep(delay)
            for one in stopped:
                os.kill(one, signal.SIGSTOP)
            await asyncio.sleep(0.3)
            for one in stopped:
                os.kill(one, signal.SIGCONT)
            results = await asyncio.wait_for(call, PATIENCE)
            assert [as_verdict(one.outcome).score for one in results] == [1.0] * 64
            # Neither worker was replaced.
            assert sorted(_workers(scorer)) == sorted(stopped)


async def test_a_worker_that_is_stopped_before_it_reads_its_item_runs_it_afterwards() -> None:
    async with scoring(_PATIENT, workers=1) as scorer:
        (worker,) = _workers(scorer)
        os.kill(worker, signal.SIGSTOP)
        call = asyncio.create_task(scored(scorer, request("test/pid", group(*["0"] * 8))))
        await asyncio.sleep(0.5)  # the watchdog has recalled what waits behind the first item
        os.kill(worker, signal.SIGCONT)
        results = await asyncio.wait_for(call, PATIENCE)
    assert [as_verdict(one.outcome).score for one in results] == [1.0] * 8


async def test_a_worker_that_is_stopped_for_good_costs_its_item_a_run_elsewhere() -> None:
    async with scoring(_PATIENT, workers=2) as scorer:
        assert await _until(lambda: len(_workers(scorer)) == 2)
        victim = _workers(scorer)[0]
        call = asyncio.create_task(scored(scorer, request("test/pid", group(*["0.3"] * 6))))
        await asyncio.sleep(0.1)
        os.kill(victim, signal.SIGSTOP)
        results = await asyncio.wait_for(call, PATIENCE)
        assert victim not in _workers(scorer)
    assert [as_verdict(one.outcome).score for one in results] == [1.0] * 6


async def test_being_killed_from_outside_is_a_fault_that_may_pass_and_is_never_kept(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with scoring(gated, workers=1) as scorer:
        asked = request("test/gated", group(str(gate)))
        call = asyncio.create_task(outcomes(scorer, asked))
        for times in (1, 2):
            assert await _until(lambda: len(waiting_at(gate)) == times)  # noqa: B023 (waited for here)
            os.kill(waiting_at(gate)[-1], signal.SIGKILL)
        (fault,) = await asyncio.wait_for(call, PATIENCE)
        gate.touch()
        (again,) = await scored(scorer, asked)
    assert (as_fault(fault).code, as_fault(fault).retryable) == ("worker_killed", True)
    assert (as_verdict(again.outcome).score, again.cached) == (1.0, False)


async def test_being_killed_from_outside_once_costs_nothing(tmp_path: Path) -> None:
    gate, other = tmp_path / "gate", tmp_path / "other"
    async with scoring(gated, workers=1) as scorer:
        call = asyncio.create_task(outcomes(scorer, request("test/gated", group(*map(str, (gate, gate, other))))))
        assert await _until(lambda: waiting_at(gate))
        os.kill(waiting_at(gate)[0], signal.SIGKILL)
        gate.touch()
        other.touch()
        found = await asyncio.wait_for(call, PATIENCE)
    assert [as_verdict(one).score for one in found] == [1.0] * 3


async def test_the_verdict_of_a_crash_is_never_kept() -> None:
    async with scoring(unruly) as scorer:
        for _ in range(2):
            (result,) = await scored(scorer, request("test/unruly", group("abort")))
            assert (as_verdict(result.outcome).code, result.cached) == ("crashed_verifier", False)


@pytest.mark.parametrize("how", ["leave", "leave-twice", "leave-and-abort"])
async def test_what_an_item_leaves_in_another_session_ends_with_it(how: str) -> None:
    name = f"77{os.getpid()}{len(how)}"
    async with scoring(_ROOMY, workers=1) as scorer:
        (found,) = await outcomes(scorer, request("test/unruly", group(f"{how} {name}")))
        assert as_verdict(found).code == ("crashed_verifier" if "abort" in how else "accepted")
        assert await _until(lambda: not _sleepers(name))
        (fine,) = await outcomes(scorer, request("test/unruly", group("fine")))
    assert as_verdict(fine).score == 1.0


async def test_what_is_marked_as_a_helper_lives_as_long_as_its_worker() -> None:
    name = f"78{os.getpid()}"
    async with scoring(_ROOMY, workers=1) as scorer:
        for text in (f"helper {name}", "fine", "fine 2"):
            await outcomes(scorer, request("test/unruly", group(text)))
        assert len(_sleepers(name)) == 1
    assert await _until(lambda: not _sleepers(name))


async def test_a_child_that_returns_from_the_verifier_does_not_answer() -> None:
    async with scoring(_ROOMY, workers=1) as scorer:
        found = await outcomes(scorer, request("test/unruly", group("fork", "fork again", "fine")))
        (worker,) = _workers(scorer)
        assert await _until(lambda: all(one.status() == "zombie" for one in psutil.Process(worker).children()))
        more = await outcomes(scorer, request("test/unruly", group(*(f"fine {place}" for place in range(50)))))
    assert [as_verdict(one).score for one in (*found, *more)] == [1.0] * 53


async def test_an_item_that_ignores_the_timer_ends_by_its_cpu_limit_all_the_same() -> None:
    async with scoring(replace(unruly, limits=replace(unruly.limits, wall_s=60.0))) as scorer:
        (found,) = await outcomes(scorer, request("test/unruly", group("deaf")))
    assert as_verdict(found).code == "limit"


async def test_the_memory_of_children_counts_together() -> None:
    async with scoring(_ROOMY, workers=1) as scorer:
        (found,) = await outcomes(scorer, request("test/unruly", group("many")))
    assert (as_verdict(found).code, as_verdict(found).note) == ("limit", "memory limit")


async def test_a_worker_that_sends_garbage_is_replaced_and_the_server_reads_no_pickle() -> None:
    async with scoring(_ROOMY, workers=2) as scorer:
        bad, *fine = await outcomes(scorer, request("test/unruly", group("garbage", "fine", "fine 2")))
    assert as_verdict(bad).code == "crashed_verifier"
    assert [as_verdict(one).score for one in fine] == [1.0, 1.0]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x80\4\x95",
        b"\1",
        b"\1" + b"\xff" * 40,
        b"\1\1\0\0\0\1\0\x14\0\0\0" + b"\0\0\0\xff" + b"\0" * 16,
        b"\1\1\0\0\0\1\0\x14\0\0\0" + b"\0\0\1\0" + b"\0" * 16,
        b"\1\1\0\0\0\1\0\x14\0\0\0" + b"\0\0\1\0" + b"\0" * 16 + b'[[],[[[0,0,-1],[["v",1,"a",[],[],"","",""]]]]]',
        b"\1\1\0\0\0\1\0\x14\0\0\0" + b"\0\0\1\0" + b"\0" * 16 + b'[[],[[[0,0,0],[["v",NaN,"a",[],[],"","",""]]]]]',
        b"\1\1\0\0\0\1\0\x14\0\0\0" + b"\0\0\1\0" + b"\0" * 16 + rb'[[],[[[0,0,0],[["v",1,"\ud800",[],[],"","",""]]]]]',
        b"\2" + b"[" * 100_000,
        b"\2[]",
    ],
)
def test_what_no_worker_sends_is_refused(payload: bytes) -> None:
    with pytest.raises(MessageError):
        read_message(payload)


async def test_a_verifier_that_prints_without_end_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="assay.worker"):
        async with scoring(_ROOMY, workers=1) as scorer:
            (found,) = await outcomes(scorer, request("test/unruly", group("flood")))
    assert as_verdict(found).score == 1.0
    assert 0 < sum(len(record.getMessage()) for record in caplog.records) < 1 << 20
    assert any("are left out" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_workers_leave_signals_to_all_processes_to_the_server(number: signal.Signals) -> None:
    async with scoring(_PATIENT, workers=1) as scorer:
        (worker,) = _workers(scorer)
        call = opened(scorer, request("test/pid", group("0.5")))
        await asyncio.sleep(0.1)
        parent = psutil.Process(worker).ppid()
        os.kill(worker, number)
        os.kill(parent, number)
        await asyncio.wait_for(call.wait(), PATIENCE)
        assert _workers(scorer) == [worker]


def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    name = f"79{os.getpid()}"
    program = (
        "import asyncio, os, signal\n"
        "from tests.core.test_worker_faults import _ROOMY, group, outcomes, request, scoring\n"
        "async def main():\n"
        "    async with scoring(_ROOMY, workers=1) as scorer:\n"
        f"        await outcomes(scorer, request('test/unruly', group('helper {name}')))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    script = tmp_path / "killed.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, str(script)], env=environment, timeout=PATIENCE, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    ends = time.monotonic() + 120
    while _sleepers(name) and time.monotonic() < ends:
        time.sleep(0.05)
    assert not _sleepers(name)


def test_a_worker_that_has_ended_is_not_taken_for_one_that_waits() -> None:
    """What the kernel counted for it is gone by then: no time may be added to its item's for that."""
    watchdog = Watchdog([], lambda units: None)
    seen = _SlowItem(pid=1 << 22, delay=30.0, cpu={}, looked=10.0)
    assert watchdog._excuse(seen, 1 << 22, 10.05, 0.0) == 0.0
    assert seen.excused == 0.0
    killed: list[KillReason] = []
    with subprocess.Popen(["true"]) as process:
        pass
    worker = SimpleNamespace(kill=killed.append, chunks=[], last_progress=0.0, stalled=False)
    unit = SimpleNamespace(job=SimpleNamespace(hosted=bind(pid), max_cpu_s=1.0), settled=False)
    watchdog._judge(worker, process.pid, unit, 1e6)  # type: ignore[arg-type]
    assert not killed


async def test_a_worker_whose_start_fails_for_any_reason_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ForkServerProcess.start
    failures = [UserWarning("a helper of the interpreter has died"), ValueError("anything")]

    def start(process: ForkServerProcess) -> None:
        if failures:
            raise failures.pop()
        begin(process)

    async with scoring(_PATIENT, workers=1) as scorer:
        (worker,) = _workers(scorer)
        (pool,) = scorer.hosting.owned
        pool._start_failures = 5_000  # type: ignore[attr-defined]  # as after hours in which none could be started
        monkeypatch.setattr(ForkServerProcess, "start", start)
        os.kill(worker, signal.SIGKILL)
        (result,) = await asyncio.wait_for(outcomes(scorer, request("test/pid", group("0"))), PATIENCE)
        assert as_verdict(result).score == 1.0
    assert not failures


def test_only_what_this_process_forks_workers_from_loses_its_orphans() -> None:
    """A number that now belongs to another process, such as the first of all, costs nobody anything."""
    code = "import subprocess as s; one = s.Popen(['sleep', '60']); print(one.pid, flush=True); one.wait()"
    outer = f"import subprocess as s, sys; sys.exit(s.run([sys.executable, '-c', {code!r}]).returncode)"
    with subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        sleeper = psutil.Process(int(process.stdout.readline()))
        stranger = sleeper.ppid()
        _orphans.end(stranger)
        assert sleeper.is_running()
        assert sleeper.status() != "zombie"
        _orphans.end(process.pid)
        assert process.wait(PATIENCE) != 0
    assert not psutil.pid_exists(sleeper.pid) or sleeper.status() == "zombie"


async def test_a_watch_that_fails_once_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    judge, failures = Watchdog._judge, [OSError("the kernel does not tell")]

    def judge_later(self: Watchdog, *args: object) -> None:
        if failures:
            raise failures.pop()
        judge(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Watchdog, "_judge", judge_later)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with scoring(unruly, workers=1) as scorer:
        (result,) = await asyncio.wait_for(outcomes(scorer, request("test/unruly", group("sleep"))), PATIENCE)
    assert as_fault(result).code == "wall_limit"
    assert not failures
