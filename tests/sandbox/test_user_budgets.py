"""What the kernel counts for a whole user of the host: one slot takes nothing of it from another."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import sandbox
from sandbox import Exit, Limits, Prepared, Program, RunResult, Sandbox
from sandbox._inside._pipes import is_leaving
from tests.sandbox.conftest import Runner

_HOARD = """
import fcntl, os, socket, subprocess, sys, time
held = []
def hoard():
    try:
        while True:
            held.extend(os.pipe())
            try: fcntl.fcntl(held[-1], 1031, 1 << 20)
            except OSError: pass
    except OSError: pass
    for n in range(2000):
        name = f'fifo{os.getpid()}-{n}'
        try:
            os.mkfifo(name)
            held.append(os.open(name, os.O_RDWR))
        except OSError: break
for _ in range(40):
    if not os.fork():
        hoard()
        time.sleep(20)
hoard()
time.sleep(20)
"""
_TIMERS = """
import ctypes, time
libc = ctypes.CDLL(None)
timer = ctypes.c_int()
while libc.timer_create(1, None, ctypes.byref(timer)) == 0: pass
time.sleep(20)
"""
_IN_FLIGHT = """
import array, os, socket, time
a, b = socket.socketpair()
fds = array.array('i', [os.open('/dev/null', 0)] * 200)
try:
    while True: a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], socket.MSG_DONTWAIT)
except OSError: pass
time.sleep(20)
"""
_HOSTILE = {"pipes": _HOARD, "timers": _TIMERS, "descriptors in flight": _IN_FLIGHT}
_HONEST = {
    "pipes": "import os\nr, w = os.pipe()\n"
    "for _ in range(3): os.write(w, b'x' * 20_000)\nprint(len(os.read(r, 60_000)))",
    "timers": "import ctypes\nt = ctypes.c_int()\n"
    "for _ in range(99): assert not ctypes.CDLL(None).timer_create(1, None, ctypes.byref(t))\nprint(99)",
    "descriptors in flight": "import multiprocessing as m\n"
    "def work(q):\n q.put(sum(range(10)))\n"
    "if __name__ == '__main__':\n c = m.get_context('fork')\n q = c.Queue()\n p = c.Process(target=work, args=(q,))\n"
    " p.start()\n print(q.get())\n p.join()",
}


@contextmanager
def _meanwhile(box: Sandbox, source: str) -> Iterator[RunResult | None]:
    """Run something hostile beside; it has what it can get before this goes on."""
    prepared = box.prepare(Program("python", source.encode()))
    assert isinstance(prepared, Prepared)
    session = box.start(prepared, limits=Limits(cpu_s=20, wall_s=20))
    threading.Event().wait(1.5)
    yield None
    result = session.finish(kill=True)
    assert result.ended in (Exit.SIGNALED, Exit.EXITED)


@pytest.mark.parametrize("budget", _HOSTILE)
def test_a_neighbour_takes_nothing(run: Runner, budget: str) -> None:
    with sandbox.open_sandbox() as other, _meanwhile(other, _HOSTILE[budget]):
        result = run(_HONEST[budget], limits=Limits(cpu_s=2, wall_s=4))
    assert result.ok, result


def test_the_report_says_whether_slots_share_a_user(run: Runner) -> None:
    with sandbox.open_sandbox() as other:
        users = {box.report.uid_map for box in (run.box, other)}
    assert run.box.report.users == ("own" if len(users) == 2 else "shared")


def test_large_pipes_are_refused(run: Runner) -> None:
    source = (
        "import fcntl, os\nr, w = os.pipe()\nprint(fcntl.fcntl(w, 1031, 4096))\n"
        "try: fcntl.fcntl(w, 1031, 1 << 17)\nexcept PermissionError: print('refused')"
    )
    assert run(source).stdout == b"4096\nrefused\n"


def test_pipes_come_and_go_in_any_number(run: Runner) -> None:
    source = "import os\nfor _ in range(1000):\n for d in os.pipe(): os.close(d)\nprint('done')"
    assert run(source).stdout == b"done\n"
    source = "n=0\nfor i in $(seq 100); do x=$(echo $i | cat | cat); n=$((n + x)); done; echo $n"
    assert run(source, language="bash", limits=Limits(cpu_s=10)).stdout == b"5050\n"


def test_pipes_of_a_process_whose_first_thread_has_ended(run: Runner) -> None:
    """The kernel shows its descriptors to no user, as it does while a process ends: neither hides any."""
    source = """
    #include <pthread.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    static void *work(void *first) {
        int p[2];
        usleep(100000);
        for (int i = 0; i < 1000; i++) {
            if (pipe(p)) { perror("pipe"); exit(1); }
            close(p[0]); close(p[1]);
        }
        puts("done");
        exit(0);
    }
    int main(void) {
        pthread_t other;
        pthread_create(&other, 0, work, 0);
        pthread_exit(0);
    }
    """
    assert run(source, language="c").stdout == b"done\n"


@pytest.mark.parametrize(
    ("stat", "leaving"),
    [
        (b"7 (a) b) R 1 2 2 0 -1 4194304 137 0 0", False),
        (b"7 (cat) R 1 2 2 0 -1 4194308 137 0 0", True),  # it has no memory any more and waits for a processor
        (b"7 (cat) Z 1 2 2 0 -1 4227084 137 0 0", True),
        (b"", True),
    ],
)
def test_a_task_on_its_way_out_hides_nothing(stat: bytes, leaving: bool) -> None:
    assert is_leaving(stat) is leaving


def test_pending_signals_are_bounded(run: Runner) -> None:
    source = (
        "import ctypes\nlibc = ctypes.CDLL(None)\ntimer = ctypes.c_int()\nn = 0\n"
        "while libc.timer_create(1, None, ctypes.byref(timer)) == 0: n += 1\nprint(n <= 256)"
    )
    assert run(source).stdout == b"True\n"
