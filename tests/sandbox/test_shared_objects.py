"""What several runs, slots or the host have in common: no run leaves anything on it, or is noticed by it."""

from __future__ import annotations

import pytest

import sandbox
from sandbox import Limits, Prepared, Program
from tests.sandbox.conftest import Runner

_OF_ITS_OWN_FILE = """
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
int main(void) {
    int fd = open("/proc/self/exe", O_RDONLY), done = 0;
    unsigned long hint = 3;
    struct timespec times[2] = {{1, 0}, {1, 0}};
    char old[99];
    done |= (fchmod(fd, 0) == 0) << 0;
    done |= (chmod("/proc/self/exe", 0) == 0) << 1;
    done |= (fsetxattr(fd, "user.m", "x", 1, 0) == 0) << 2;
    done |= (fgetxattr(fd, "user.m", old, 99) >= 0) << 3;
    done |= (futimens(fd, times) == 0) << 4;
    done |= (futimens(fd, 0) == 0) << 5;
    done |= (fcntl(fd, 1036, &hint) == 0) << 6;
    done |= (fcntl(fd, F_SETLEASE, F_RDLCK) == 0) << 7;
    done |= (open("/proc/self/exe", O_RDWR) >= 0) << 8;
    done |= (linkat(AT_FDCWD, "/proc/self/exe", AT_FDCWD, "here", AT_SYMLINK_FOLLOW) == 0) << 9;
    printf("%d\\n", done);
}
"""


def test_a_compiled_program_cannot_be_changed_by_its_runs(run: Runner) -> None:
    prepared = run.prepare(_OF_ITS_OWN_FILE, "c")
    for _ in range(3):
        result = run.box.run(prepared, limits=Limits())
        assert (result.ok, result.stdout) == (True, b"0\n")


def test_a_compiled_program_outlives_its_zygote() -> None:
    with sandbox.open_sandbox(config=sandbox.SandboxConfig(recycle_runs=1)) as box:
        prepared = box.prepare(Program("c", b'#include <stdio.h>\nint main(void){puts("x");}'))
        assert isinstance(prepared, Prepared)
        for _ in range(3):
            assert box.run(prepared, limits=Limits()).stdout == b"x\n"


@pytest.mark.parametrize("loader", ["x", "x" * 4999 + "y"])
def test_a_program_that_spoils_its_own_file_is_no_failure_of_ours(run: Runner, loader: str) -> None:
    name = f'const char name[5000] __attribute__((section(".interp"))) = "{loader}";'
    made = run.box.prepare(Program("c", f"{name}\nint main(void){{return 0;}}".encode()))
    assert isinstance(made, Prepared)
    result = run.box.run(made, limits=Limits())
    assert (result.exit_code, result.stderr) == (126, b"./main: Exec format error\n")


_BETWEEN_SLOTS = {
    "record lock": (
        "fcntl.fcntl(f, fcntl.F_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 7, 9, 0))",
        "print(struct.unpack('hhqqi4x', fcntl.fcntl(f, fcntl.F_GETLK, struct.pack('hhqqi4x', 1, 0, 0, 0, 0)))[0] != 2)",
    ),
    "lock of an open file": (
        "fcntl.fcntl(f, 37, struct.pack('hhqqi4x', fcntl.F_RDLCK, 0, 7, 9, 0))",
        "print(struct.unpack('hhqqi4x', fcntl.fcntl(f, 36, struct.pack('hhqqi4x', 1, 0, 0, 0, 0)))[0] != 2)",
    ),
}


@pytest.mark.parametrize("path", ["/usr/bin/env", "/dev/null", "/dev/zero"])
@pytest.mark.parametrize("kind", _BETWEEN_SLOTS)
def test_locks_are_not_seen_from_another_slot(run: Runner, kind: str, path: str) -> None:
    take, look = _BETWEEN_SLOTS[kind]
    start = f"import fcntl, struct, time\nf = open({path!r}, 'rb')\ntry:\n "
    end = "\nexcept OSError: print(False)"
    # A process of the host may hold a lock of its own on a device.
    alone = run(f"{start}{look}{end}").stdout
    with sandbox.open_sandbox() as other:
        driver = f"{start}{take}{end}\nsend(b'taken')\nreceive()"
        prepared = other.prepare(Program("python", b"", driver=driver.encode()))
        assert isinstance(prepared, Prepared)
        session = other.start(prepared, limits=Limits())
        assert session.receive() == b"taken"
        assert run(f"{start}{look}{end}").stdout == alone
        session.finish(kill=True)


def test_watches_of_directories_are_refused(run: Runner) -> None:
    source = (
        "import fcntl, os\nd = os.open('/usr/bin', os.O_RDONLY)\n"
        "try: fcntl.fcntl(d, fcntl.F_NOTIFY, fcntl.DN_ACCESS | fcntl.DN_MULTISHOT)\nexcept OSError: print('refused')"
    )
    assert run(source).stdout == b"refused\n"


def test_a_data_base_in_a_file_works(run: Runner) -> None:
    source = (
        "import sqlite3\nfor mode in ('delete', 'wal'):\n c = sqlite3.connect(f'{mode}.db')\n"
        " c.execute(f'pragma journal_mode={mode}')\n c.execute('create table t(x)')\n"
        " c.executemany('insert into t values (?)', [(1,), (2,)])\n c.commit()\n c.close()\n"
        " print(sqlite3.connect(f'{mode}.db').execute('select sum(x) from t').fetchone()[0])"
    )
    assert run(source).stdout == b"3\n3\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))",
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))",
        "os.setpriority(os.PRIO_PROCESS, 1, 19)",
        "os.setpriority(os.PRIO_PGRP, 0, 19)",
        "os.setpriority(os.PRIO_USER, 0, 19)",
        "os.sched_setaffinity(1, {0})",
        "open('/proc/1/timerslack_ns', 'w').write('4000000000')",
        "open('/proc/1/autogroup', 'w').write('19')",
        "open('/proc/self/autogroup', 'w').write('19')",
        "open('/proc/1/oom_score_adj', 'w').write('1000')",
    ],
)
def test_the_init_and_the_slot_cannot_be_slowed(run: Runner, attempt: str) -> None:
    result = run(f"import os\ntry: {attempt}\nexcept OSError: print('refused')")
    assert result.stdout == b"refused\n"


def test_a_program_may_be_nice_and_pin_itself(run: Runner) -> None:
    source = "import os\nos.nice(5)\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nos.sync()\nprint('done')"
    assert run(source).stdout == b"done\n"


def test_large_stacks_of_threads_may_be_asked_for(run: Runner) -> None:
    source = (
        "import sys, threading\nthreading.stack_size(1 << 28)\nsys.setrecursionlimit(1 << 20)\n"
        "def deep(n): return n if n == 0 else 1 + deep(n - 1)\n"
        "t = threading.Thread(target=lambda: print(deep(100_000)))\nt.start()\nt.join()"
    )
    assert run(source, limits=Limits(memory_bytes=256 << 20)).stdout == b"100000\n"
