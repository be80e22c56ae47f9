"""A Python program behaves as `python main.py` would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import Exit, Limits
from tests.sandbox.conftest import Runner

_PROGRAMS = {
    "echo": "print(input()[::-1])",
    "read_all": "import sys; print(len(sys.stdin.read()))",
    "fileinput": "import fileinput\nfor line in fileinput.input(): print(line, end='')",
    "os_read": "import os; print(os.read(0, 100))",
    "open_zero": "print(open(0).read())",
    "eof": "input(); input()",
    "exit_code": "import sys; sys.exit(7)",
    "exit_text": "import sys; sys.exit('bye')",
    "exit_builtin": "print(1); exit()",
    "exit_big": "import sys; sys.exit(256 + 3)",
    "traceback": "def f(): 1/0\nf()",
    "chained": "try: 1/0\nexcept Exception as e: raise KeyError(3) from e",
    "lost_buffer": "import os; print('lost'); os._exit(0)",
    "flushed": "import os; print('kept', flush=True); os._exit(0)",
    "threads": "import threading, time\n"
    "t = threading.Thread(target=lambda: (time.sleep(.05), print('thread')))\nt.start()\nprint('main')",
    "daemon": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint(1)",
    "atexit": "import atexit; atexit.register(print, 'at exit'); print('main')",
    "destructor": "class A:\n def __del__(self): print('del')\na = A()",
    "unclosed": "out = open(1, 'w'); out.write('buffered')",
    "own_stdout": "import sys\nclass W:\n def __init__(s): s.b = []\n def write(s, x): s.b.append(x)\n"
    " def flush(s): sys.__stdout__.write(''.join(s.b)); s.b = []\nsys.stdout = W()\nprint(5)",
    "closed_stdout": "import sys; print(1); sys.stdout.close()",
    "bytes": "import sys; sys.stdout.buffer.write(bytes(range(256)))",
    "main_guard": "if __name__ == '__main__': print('main')",
    "argv": "import sys; print(sys.argv, __file__.rsplit('/', 1)[-1])",
    "isatty": "import sys; print(sys.stdin.isatty(), sys.stdout.isatty(), sys.stdout.line_buffering)",
    "streams": "import sys\nfor s in sys.stdin, sys.stdout, sys.stderr: print(s.name, s.mode, s.errors, s.fileno())",
    "subprocess": "import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', 'print(6*7)'], "
    "capture_output=True).stdout)",
    "recursion": "import sys\ndef f(n): return f(n + 1)\ntry: f(0)\n"
    "except RecursionError: print(sys.getrecursionlimit())",
    "deep": "def f(n): return n and 1 + f(n - 1)\nprint(f(980))",
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1/0",
    "own_module": "import dataclasses\n@dataclasses.dataclass\nclass P: x: int\n"
    "import pickle\nprint(pickle.loads(pickle.dumps(P(3))))",
    "annotations": "x: int = 3\nprint(__annotations__)",
    "coding": "# -*- coding: latin-1 -*-\nprint('h')",
    "abort": "import os; os.abort()",
    "segv": "import ctypes; ctypes.string_at(0)",
    "interrupt": "raise KeyboardInterrupt",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "asyncio": "import asyncio\nasync def f():\n await asyncio.sleep(0)\n return 4\nprint(asyncio.run(f()))",
    "multiprocessing": "import multiprocessing as m\ndef f(x): return x * x\n"
    "if __name__ == '__main__':\n with m.Pool(2) as p: print(p.map(f, range(4)))",
}
_STDIN = b"abc\n"


@pytest.mark.parametrize("name", _PROGRAMS)
def test_like_the_interpreter(run: Runner, name: str, tmp_path: Path) -> None:
    source = _PROGRAMS[name]
    (tmp_path / "main.py").write_text(source)
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
    python = getattr(sys, "_base_executable", sys.executable)
    plain = subprocess.run(
        [python, "main.py"], input=_STDIN, capture_output=True, cwd=tmp_path, env=environment, timeout=60
    )
    result = run(source, _STDIN)
    assert result.stdout == plain.stdout
    code = result.exit_code if result.signal is None else -result.signal
    assert code == plain.returncode
    assert result.stderr.replace(b"/tmp/box", b"") == plain.stderr.replace(str(tmp_path).encode(), b"")


@pytest.mark.parametrize("source", [b"def f(:", b"return 1", b"a\0b", b"\xff\xfe", b"  x", b"'\\ud800' ; \x80"])
def test_compile_failures(run: Runner, source: bytes) -> None:
    failure = run.failure(source)
    assert failure.ended is Exit.EXITED
    assert "Error" in failure.message


def test_compiler_that_crashes_is_the_programs_doing(run: Runner) -> None:
    assert run.failure(b"(" * 100_000).message
    assert run.failure(b"-" * 3_000_000 + b"1").message
    assert run(b"print(1)").stdout == b"1\n"


def test_compiling_is_bounded(run: Runner) -> None:
    source = b"x = [" + b"((((1,),),),)," * 500_000 + b"]"
    failure = run.failure(source, limits=Limits(cpu_s=0.2, wall_s=30))
    assert failure.ended is Exit.CPU_LIMIT
    # The interpreter's own compiler loses track of some failed allocations and then calls it a SystemError.
    failure = run.failure(source, limits=Limits(memory_bytes=16 << 20))
    assert failure.ended is Exit.MEMORY_LIMIT or "SystemError" in failure.message


def test_files_lie_beside_the_program(run: Runner) -> None:
    files = {"helper.py": b"value = 41", "data/in.txt": b"text"}
    result = run("import helper; print(helper.value + 1, open('data/in.txt').read())", files=files)
    assert result.stdout == b"42 text\n"


def test_driver_loads_the_program_and_replies(run: Runner) -> None:
    driver = b"import json\nf = load('solution')['f']\nreply(json.dumps(f(*json.loads(request))).encode())"
    result = run("print('loading')\ndef f(a, b): return a + b", request=b"[20, 22]", driver=driver)
    assert (result.reply, result.stdout, result.exit_code) == (b"42", b"loading\n", 0)


def test_large_request_and_reply(run: Runner) -> None:
    data = bytes(range(256)) * 8192
    result = run("", request=data, driver=b"reply(request[::-1])")
    assert result.reply == data[::-1]
    assert not result.reply_truncated


def test_reply_over_its_cap(run: Runner) -> None:
    result = run("", driver=b"while True: reply(b'x' * 65536)", limits=Limits(reply_bytes=100_000))
    assert result.ended is Exit.OUTPUT_LIMIT
    assert result.reply_truncated
    assert result.reply == b"x" * 100_000


def test_request_that_is_not_read(run: Runner) -> None:
    result = run("", request=b"x" * 10_000_000, driver=b"pass")
    assert result.ok


def test_random_differs_between_runs(run: Runner) -> None:
    prepared = run.prepare("import random; print(random.random())")
    outputs = {run.box.run(prepared, limits=Limits()).stdout for _ in range(5)}
    assert len(outputs) == 5


def test_hashes_do_not_differ_between_runs(run: Runner) -> None:
    prepared = run.prepare("print(hash('abc'), list({'a', 'b', 'c', 'd'}))")
    outputs = {run.box.run(prepared, limits=Limits()).stdout for _ in range(3)}
    assert len(outputs) == 1


def test_preloaded_packages(run: Runner) -> None:
    pytest.importorskip("numpy")
    source = "import sys; early = 'numpy' in sys.modules\nimport numpy\nprint(early, numpy.arange(4).sum())"
    assert run(source, preload="scientific").stdout == b"True 6\n"
    assert run(source).stdout == b"False 6\n"


def test_other_packages_are_not_shown(run: Runner) -> None:
    for name in ("pytest", "grpc", "sandbox"):
        assert b"ModuleNotFoundError" in run(f"import {name}").stderr
