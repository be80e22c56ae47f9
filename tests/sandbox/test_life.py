"""Nothing is left: after runs, after the end of the owner, after the end of a zygote."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox
from reward_servers.core.executors._process_tree import state_of
from sandbox import CompileFailure, Exit, Limits, Prepared, Program, Sandbox
from tests.attacks._host import descendants, settled, stable

_ROOT = Path(__file__).resolve().parents[2]
_RUNS = int(os.environ.get("SANDBOX_LEAK_RUNS", "150"))
_MIB = 1 << 20

_MIXED = (
    Program("python", b"print(input())"),
    Program("python", b"raise SystemExit(3)"),
    Program(
        "python", b"import os\nfor i in range(5):\n if not os.fork(): os.setsid(); os.execlp('sleep', 'sleep', '60')"
    ),
    Program("python", b"print('x' * 3000000)"),
    Program("python", b"open('f', 'wb').write(bytes(5000000)); open('/dev/shm/s', 'wb').write(bytes(5000000))"),
    Program("python", b"x = bytearray(1 << 40)"),
    Program("python", b"while True: pass"),
    Program("python", b"import time; time.sleep(60)"),
    Program("python", b"import os; os.abort()"),
    Program("python", b"", driver=b"reply(request * 1000)"),
    Program("bash", b"for i in 1 2 3; do sleep 60 & done; echo $i"),
    Program("python", b"def f(:"),
)


# Other tests of this process may have left helpers of their own, such as a fork server.
_OTHERS: set[int] = set()


@pytest.fixture(autouse=True)
def _note_others() -> None:
    _OTHERS.clear()
    _OTHERS.update(descendants(os.getpid()))


def _ours() -> list[int]:
    return descendants(os.getpid(), _OTHERS)


def _one(box: Sandbox, program: Program, prepared: Prepared | CompileFailure | None = None) -> None:
    made = prepared or box.prepare(program)
    if isinstance(made, Prepared):
        box.run(made, stdin=b"line\n", limits=Limits(cpu_s=0.05, wall_s=0.1), request=b"r" * 100)
        box.discard(made)


def _uids(box: Sandbox) -> frozenset[int]:
    return frozenset([int(box.report.uid_map.rpartition(">")[2])])


def test_mixed_runs_leave_nothing() -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    with sandbox.open_sandbox() as box:
        # The allocator comes to rest first; what is measured is what goes on growing.
        for number in range(max(5 * len(_MIXED), _RUNS // 20)):
            _one(box, _MIXED[number % len(_MIXED)])
        _one(box, _MIXED[0])
        before = stable(_uids(box))
        memory = _own_memory()
        for number in range(_RUNS):
            _one(box, _MIXED[number % len(_MIXED)])
        _one(box, _MIXED[0])
        assert not settled(before, _uids(box), 60.0)
        growth = _own_memory() - memory
        assert growth <= max(0.02 * memory, _MIB)
    assert not _ours()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def _own_memory() -> int:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize()


@pytest.mark.parametrize("made", [0, 1, 3, 20, 25])
def test_processes_made_ahead_do_not_outlive_the_program(made: int) -> None:
    with sandbox.open_sandbox() as box:
        _one(box, _MIXED[0])
        before = stable(_uids(box))
        prepared = box.prepare(Program("python", b"print(int(input()) ** 2)"), runs=20)
        assert isinstance(prepared, Prepared)
        for number in range(made):
            result = box.run(prepared, stdin=b"%d" % number, limits=Limits())
            assert result.stdout == b"%d\n" % number**2
        box.discard(prepared)
        assert not settled(before, _uids(box), 60.0)


def test_close_leaves_nothing() -> None:
    before = stable(frozenset())
    for _ in range(3):
        with sandbox.open_sandbox() as box:
            _one(box, _MIXED[0])
    assert not settled(before, frozenset(), 60.0)


@pytest.fixture
def reaper() -> Iterator[None]:
    """Let this process adopt what loses its parent, so that it can be seen."""
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(36, 1, 0, 0, 0)
    yield
    libc.prctl(36, 0, 0, 0, 0)


@pytest.mark.usefixtures("reaper")
def test_killed_owner_leaves_nothing() -> None:
    owner = subprocess.Popen(
        [sys.executable, "-m", "tests.sandbox._owner"], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "ready\n"
    assert len(descendants(owner.pid)) >= 4
    owner.kill()
    owner.wait()
    owner.stdout.close()
    deadline = time.monotonic() + 120
    while (left := _ours()) or any(_groups(owner.pid)):
        assert time.monotonic() < deadline, left
        while _reap():
            pass
        time.sleep(0.02)


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return False


def _groups(pid: int) -> Iterator[Path]:
    return Path("/sys/fs/cgroup").glob(f"**/assay-*-{pid}-*")


def _zygotes() -> list[int]:
    """Children of the launchers below this process."""
    launchers = [child for child in _children(os.getpid()) if child not in _OTHERS]
    return [grandchild for launcher in launchers for grandchild in _children(launcher)]


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def test_killed_zygote_is_replaced_and_no_request_lost() -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", b"import time; time.sleep(0.3); print('done')"))
        assert isinstance(prepared, Prepared)
        for moment in ("before", "during"):
            (zygote,) = _zygotes()
            if moment == "before":
                os.kill(zygote, signal.SIGKILL)
            else:
                script = f"import os, time; time.sleep(0.15); os.kill({zygote}, 9)"
                killer = subprocess.Popen([sys.executable, "-S", "-c", script])
            result = box.run(prepared, limits=Limits())
            assert (result.ended, result.stdout) == (Exit.EXITED, b"done\n")
        killer.wait()
    assert not _ours()


def _wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and any(state_of(pid) not in ("", "Z", "X") for pid in pids):
        time.sleep(0.01)


def test_a_slot_whose_processes_are_all_gone_gets_others() -> None:
    """Also where even a request for the next process cannot be sent any more."""
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", b"print(1)", driver=b"print(receive())"))
        assert isinstance(prepared, Prepared)
        for _ in range(3):
            session = box.start(prepared, limits=Limits())
            for pid in _ours():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _wait_for_the_end_of(_ours())
            with pytest.raises(sandbox.SandboxInternalError):
                session.finish()
            session = box.start(prepared, limits=Limits())
            session.send(b"1")
            assert session.finish().stdout == b"b'1'\n"


def test_recycled_zygote() -> None:
    with sandbox.open_sandbox(config=sandbox.SandboxConfig(recycle_runs=3)) as box:
        prepared = box.prepare(Program("python", b"print('done')"))
        assert isinstance(prepared, Prepared)
        seen = set()
        for _ in range(8):
            assert box.run(prepared, limits=Limits()).stdout == b"done\n"
            seen.update(_zygotes())
        assert len(seen) >= 3


def test_idle_slot_is_small() -> None:
    with sandbox.open_sandbox() as box:
        _one(box, _MIXED[0])
        stable(_uids(box))
        if os.geteuid() != 0:
            pytest.skip("only root can read the memory of what runs behind the wall")
        total = 0
        for pid in _ours():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        assert total <= 12 * _MIB


def test_slots_do_not_share_a_user() -> None:
    with sandbox.open_sandbox() as one, sandbox.open_sandbox() as two:
        if os.geteuid() == 0:
            assert one.report.uid_map != two.report.uid_map


def test_eight_slots_in_threads() -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work(number: int) -> list[bytes]:
        with sandbox.open_sandbox() as box:
            prepared = box.prepare(Program("python", b"print(int(input()) ** 2)"))
            assert isinstance(prepared, Prepared)
            return [box.run(prepared, stdin=b"%d\n" % (number + i), limits=Limits()).stdout for i in range(10)]

    with ThreadPoolExecutor(8) as pool:
        for number, outputs in enumerate(pool.map(work, range(8))):
            assert outputs == [b"%d\n" % ((number + i) ** 2) for i in range(10)]
    assert not _ours()
