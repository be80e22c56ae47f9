"""What a program finds inside, beyond the lines of the attack files."""

from __future__ import annotations

import os

import pytest

from sandbox import Exit, Limits
from tests.sandbox.conftest import Runner


def test_report(run: Runner) -> None:
    report = run.box.report
    assert report.isolation == "ns"
    assert report.proc == "fresh"
    assert report.memory_bound in ("cgroup_v1", "cgroup_v2", "per_process")
    assert all(step.ok for step in report.steps)
    names = {step.name for step in report.steps}
    assert {"user_namespace", "proc", "pivot_root", "seccomp", "canary_processes", "canary_rights"} <= names
    if os.geteuid() == 0:
        assert int(report.uid_map.rpartition(">")[2]) > 1 << 30


def test_nothing_of_the_host(run: Runner) -> None:
    source = (
        "import os\nprint(sorted(os.environ))\nprint(sorted(os.listdir('/proc/self/fd')))\n"
        "print([p for p in os.listdir('/proc') if p.isdigit()])\nprint(os.getuid(), os.getppid())\n"
        "print(os.listdir('/etc'))\nprint(os.uname().nodename)"
    )
    environment, descriptors, processes, ids, etc, host = run(source).stdout.decode().splitlines()
    assert "PYTHONUNBUFFERED" not in environment
    assert set(eval(environment)) == {
        "HOME",
        "LANG",
        "MALLOC_ARENA_MAX",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PATH",
        "PYTHONHASHSEED",
        "PYTHONPATH",
    }
    assert eval(descriptors) == ["0", "1", "2", "3"]  # 3 lists
    assert eval(processes) == ["1", "2"]
    assert ids == "1000 1"
    assert "shadow" not in etc
    assert host == "sandbox"


_ON_THE_INIT = {
    "limits": "import resource; resource.prlimit(1, resource.RLIMIT_CPU, (0, 0))",
    "memory": "open('/proc/1/mem', 'r+b')",
    "environment": "open('/proc/1/environ').read()",
    "descriptors": "import os; os.listdir('/proc/1/fd')",
    "root": "import os; os.listdir('/proc/1/root')",
    "oom": "open('/proc/1/oom_score_adj', 'w').write('1000')",
    "namespace": "import os; os.open('/proc/1/ns/mnt', 0)",
}


@pytest.mark.parametrize("name", _ON_THE_INIT)
def test_the_init_is_out_of_reach(run: Runner, name: str) -> None:
    result = run(
        f"try:\n {_ON_THE_INIT[name]}\nexcept OSError as e: print('blocked', type(e).__name__)\nelse: print(1)"
    )
    assert result.stdout.startswith(b"blocked ")


def test_signals_to_the_init_are_ignored(run: Runner) -> None:
    source = (
        "import os, signal\nfor s in signal.valid_signals():\n"
        " try: os.kill(1, s)\n except OSError: pass\nprint('still here')"
    )
    assert run(source).stdout == b"still here\n"


def test_signals_to_the_group_stay_in_the_run(run: Runner) -> None:
    for name in ("SIGKILL", "SIGTERM"):
        result = run(f"import os, signal\nos.kill(0, signal.{name})\nimport time; time.sleep(5)")
        assert result.ended is Exit.SIGNALED
    assert run("import os; os.setsid(); print(os.getsid(0) == os.getpid())").stdout == b"True\n"


def test_shared_files_are_no_channel(run: Runner) -> None:
    source = (
        "import ctypes, fcntl\nl = ctypes.CDLL(None, use_errno=True)\n"
        "print(l.inotify_init(), l.inotify_init1(0), l.semget(1, 1, 0o1666), l.msgget(1, 0o1666))\n"
        "try: fcntl.flock(open('/usr/bin/env'), fcntl.LOCK_EX)\nexcept OSError: print('blocked')"
    )
    assert run(source).stdout == b"-1 -1 -1 -1\nblocked\n"


def test_end_of_the_main_process_ends_all(run: Runner) -> None:
    source = (
        "import os, time\nif not os.fork():\n os.setsid()\n while True:\n"
        "  try: os.fork()\n  except OSError: pass\ntime.sleep(0.2)\nprint('main ends', flush=True)\nos._exit(0)"
    )
    # The storm takes what it may until the main process has had its turn: its memory is not what is tried here.
    result = run(source, limits=Limits(cpu_s=60, memory_bytes=2 << 30))
    assert (result.ended, result.stdout) == (Exit.EXITED, b"main ends\n")


def test_threads_may_outlive_the_first(run: Runner) -> None:
    source = (
        "#include <pthread.h>\n#include <stdio.h>\n#include <unistd.h>\n"
        'void*f(void*x){usleep(100000);puts("second");return 0;}\n'
        "int main(){pthread_t t;pthread_create(&t,0,f,0);pthread_exit(0);}"
    )
    assert run(source, language="c").stdout == b"second\n"


def test_descriptors_of_a_native_program(run: Runner) -> None:
    source = (
        '#include <dirent.h>\n#include <stdio.h>\nint main(){DIR*d=opendir("/proc/self/fd");struct dirent*e;int n=0;'
        "while((e=readdir(d)))n+=e->d_name[0]!='.';printf(\"%d\\n\",n);return 0;}"
    )
    assert run(source, language="c").stdout == b"4\n"
