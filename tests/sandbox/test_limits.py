"""Limits, as measured from outside."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from sandbox import Exit, Limits
from tests.sandbox.conftest import Runner

MIB = 1 << 20


def test_cpu_of_the_whole_tree(run: Runner) -> None:
    source = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    result = run(source, limits=Limits(cpu_s=0.5, wall_s=30))
    assert result.ended is Exit.CPU_LIMIT
    assert result.cpu_s is not None
    assert 0.5 < result.cpu_s < 1.0


def test_cpu_of_threads(run: Runner) -> None:
    source = "import threading\ndef f():\n while True: pass\nfor _ in range(3): threading.Thread(target=f).start()"
    result = run(source, limits=Limits(cpu_s=0.3, wall_s=30))
    assert result.ended is Exit.CPU_LIMIT
    assert result.cpu_s is not None
    assert 0.3 < result.cpu_s < 0.6


def test_cpu_used_before_the_end_counts(run: Runner) -> None:
    source = "import time\nwhile time.process_time() < 0.4: pass\nprint('done')"
    assert run(source, limits=Limits(cpu_s=0.3)).ended is Exit.CPU_LIMIT
    result = run(source, limits=Limits(cpu_s=2.0))
    assert result.ok
    assert result.cpu_s is not None
    assert 0.39 <= result.cpu_s < 0.6


def test_sleepers_end_by_the_wall(run: Runner) -> None:
    result = run("import time; time.sleep(60)", limits=Limits(cpu_s=1, wall_s=0.3))
    assert result.ended is Exit.WALL_LIMIT
    assert result.cpu_s is not None
    assert result.cpu_s < 0.2


def test_waiting_for_a_processor_does_not_count(run: Runner) -> None:
    busy = [
        subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        source = "import time\nwhile time.process_time() < 0.5: pass\nprint('done')"
        result = run(source, limits=Limits(cpu_s=1.0, wall_s=1.0))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert result.ok
    assert result.elapsed_s > result.wall_s


def test_output_is_exact_up_to_the_cap(run: Runner) -> None:
    result = run("print('x' * 299_999)")
    assert len(result.stdout) == 300_000
    assert result.ok
    result = run(f"print('x' * {MIB - 1})")
    assert result.ok
    assert len(result.stdout) == MIB
    result = run(f"print('x' * {MIB})")
    assert result.ended is Exit.OUTPUT_LIMIT
    assert result.stdout_truncated
    assert result.stdout == b"x" * MIB


def test_error_output_has_a_cap_of_its_own(run: Runner) -> None:
    source = "import sys\nprint('out', flush=True)\nwhile True: sys.stderr.write('e' * 65536)"
    result = run(source, limits=Limits(stderr_bytes=1000))
    assert result.ended is Exit.OUTPUT_LIMIT
    assert (result.stdout, result.stderr) == (b"out\n", b"e" * 1000)


def test_memory(run: Runner) -> None:
    limits = Limits(memory_bytes=128 * MIB)
    assert run("x = bytearray(1 << 30)", limits=limits).ended is Exit.MEMORY_LIMIT
    assert run("x = []\nwhile True: x.append(' ' * 1000000)", limits=limits).ended is Exit.MEMORY_LIMIT
    caught = "try: x = bytearray(1 << 30)\nexcept MemoryError: print('caught')"
    assert run(caught, limits=limits).stdout == b"caught\n"
    result = run("x = bytearray(100 << 20)", limits=limits)
    assert result.ok
    assert result.peak_memory_bytes is not None
    assert 100 * MIB < result.peak_memory_bytes < 160 * MIB


def test_memory_of_the_sum(run: Runner) -> None:
    if run.box.report.memory_bound == "per_process":
        pytest.skip("no cgroup is delegated to this user")
    source = "import os, time\nfor _ in range(6):\n if not os.fork():\n  x = bytearray(64 << 20); time.sleep(9)\n"
    result = run(source + "os.wait()", limits=Limits(memory_bytes=128 * MIB, wall_s=3))
    assert result.peak_memory_bytes is not None
    assert result.peak_memory_bytes < 192 * MIB


def test_processes_are_counted_exactly(run: Runner) -> None:
    source = (
        "import os, signal\nn = 1\ntry:\n while n < 100:\n"
        "  if not os.fork(): signal.pause()\n  n += 1\nexcept BlockingIOError: pass\nprint(n)"
    )
    for most in (1, 7, 64):
        assert run(source, limits=Limits(processes=most)).stdout == f"{most}\n".encode()


def test_files_are_counted(run: Runner) -> None:
    source = "n = 0\ntry:\n while n < 1000: open(f'f{n}', 'w').close(); n += 1\nexcept OSError as e: print(n, e.errno)"
    assert run(source, limits=Limits(files=50)).stdout == b"50 28\n"


def test_stored_bytes(run: Runner) -> None:
    source = (
        "n = 0\ntry:\n for i in range(100):\n  with open(f'f{i}', 'wb') as f: f.write(bytes(1 << 20))\n"
        "  n += 1\nexcept OSError as e: print(n, e.errno)"
    )
    assert run(source, limits=Limits(disk_bytes=10 * MIB)).stdout == b"9 28\n"
    result = run("open('f', 'wb').truncate(1 << 40)", limits=Limits(disk_bytes=10 * MIB))
    assert b"File too large" in result.stderr


def test_native_program_that_writes_too_large_a_file(run: Runner) -> None:
    source = '#include <stdio.h>\nint main(){FILE*f=fopen("f","w");for(;;)if(fputc(1,f)<0)return 3;}'
    result = run(source, language="c", limits=Limits(disk_bytes=MIB))
    assert result.ended in (Exit.DISK_LIMIT, Exit.EXITED)
    assert not result.ok


def test_left_over_children_hold_nothing_up(run: Runner) -> None:
    prepared = run.prepare("import os, time\nif not os.fork():\n os.setsid(); time.sleep(60)\nprint('done')")
    for _ in range(50):  # the next one starts at the moment at which its process is ready
        assert run.box.run(prepared, limits=Limits(wall_s=3)).ok


def test_hidden_children_are_counted_where_a_cgroup_counts(run: Runner) -> None:
    if run.box.report.cpu_clock == "proc":
        pytest.skip("no cgroup is delegated to this user")
    source = (
        "import os, signal, time\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "for _ in range(20):\n r, w = os.pipe()\n if not os.fork():\n"
        "  while time.process_time() < 0.1: pass\n  os._exit(0)\n os.close(w); os.read(r, 1); os.close(r)"
    )
    assert run(source, limits=Limits(cpu_s=1.0, wall_s=60)).ended is Exit.CPU_LIMIT
