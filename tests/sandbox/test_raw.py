"""Programs that are talked to over their standard streams, their arguments, and files that go in and come out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

import sandbox
from sandbox import Exit, Invocation, Limits, Program

LIMITS = Limits(cpu_s=2.0, wall_s=5.0)
DOUBLE = {
    "python": b"import sys\nfor line in sys.stdin:\n    print(2 * int(line), *sys.argv[1:], flush=True)",
    "cpp": b"#include <iostream>\nint main(int, char **v) { int x; while (std::cin >> x) std::cout << 2 * x << ' ' << v[1] << ' ' << v[2] << std::endl; }",  # noqa: E501
    "bash": b'while read x; do echo $((2 * x)) "$@"; done',
}


@pytest.mark.parametrize("language", DOUBLE)
def test_a_conversation_over_standard_streams(language: str) -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program(language, DOUBLE[language]))
        assert not isinstance(prepared, sandbox.CompileFailure)
        for _ in range(2):
            session = box.start(prepared, limits=LIMITS, raw=True, given=Invocation(args=("a", "b c")))
            for number in range(3):
                session.send(b"%d\n" % number)
                assert session.receive(5.0) == b"%d a b c\n" % (2 * number)
            result = session.finish()
            assert (result.ended, result.exit_code, result.stdout) == (Exit.EXITED, 0, b"")
        plain = box.run(prepared, limits=LIMITS, stdin=b"4\n", given=Invocation(args=("x", "y")))
        assert plain.stdout == b"8 x y\n"


def test_limits_hold_in_a_conversation() -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", b"print('ready', flush=True)\nwhile True: pass"))
        assert not isinstance(prepared, sandbox.CompileFailure)
        session = box.start(prepared, limits=Limits(cpu_s=0.3, wall_s=5.0), raw=True)
        assert session.receive(5.0) == b"ready\n"
        assert session.receive() is None
        assert session.finish().ended is Exit.CPU_LIMIT


COUNT = {
    "python": b"n = open('state/n').read().strip()\nopen('state/n', 'w').write(n + 'x')\nopen('state/new', 'wb').write(bytes(3))\nprint(n)\nraise SystemExit(len(n))",  # noqa: E501
    "cpp": b'#include <fstream>\n#include <iostream>\n#include <string>\nint main() { std::string n; std::ifstream("state/n") >> n; std::ofstream("state/n") << n << \'x\'; std::ofstream("state/new").write("\\0\\0\\0", 3); std::cout << n << std::endl; return n.size(); }',  # noqa: E501
    "bash": b"read n < state/n\necho -n ${n}x > state/n\nhead -c 3 /dev/zero > state/new\necho $n\nexit ${#n}",
}


@pytest.mark.parametrize("language", COUNT)
def test_files_go_in_and_come_out(language: str) -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program(language, COUNT[language]))
        assert not isinstance(prepared, sandbox.CompileFailure)
        files: Mapping[str, bytes] = {"n": b"x\n"}
        for turn in (1, 2, 3):
            given = Invocation(files={f"state/{name}": content for name, content in files.items()}, keeps="state")
            result = box.run(prepared, limits=LIMITS, given=given)
            assert (result.ended, result.exit_code, result.stdout) == (Exit.EXITED, turn, b"x" * turn + b"\n")
            files = result.files
            assert files == {"n": b"x" * (turn + 1), "new": bytes(3)}
        assert box.run(prepared, limits=LIMITS, given=Invocation(files={"state/n": b"y\n"})).files == {}
        with pytest.raises(sandbox.ProgramRefusedError):
            box.run(prepared, limits=LIMITS, given=Invocation(files={"../x": b""}))
        with pytest.raises(sandbox.ProgramRefusedError):
            box.run(prepared, limits=LIMITS, given=Invocation(keeps="/etc"))


def test_files_of_a_run_that_ends_otherwise() -> None:
    left = b"import os, signal, sys\nopen('state/a', 'w').write('a' * int(sys.argv[1]))\nos.symlink('/etc/passwd', 'state/l')\nos.kill(os.getpid(), 15)"  # noqa: E501
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", left))
        assert not isinstance(prepared, sandbox.CompileFailure)
        small = dataclasses.replace(LIMITS, reply_bytes=1000)
        result = box.run(prepared, limits=small, given=Invocation(("1000",), keeps="state"))
        assert (result.ended, result.signal, result.files) == (Exit.SIGNALED, 15, {"a": b"a" * 1000})
        result = box.run(prepared, limits=small, given=Invocation(("1001",), keeps="state"))
        assert (result.signal, result.files, result.reply_truncated) == (15, {}, True)
        session = box.start(prepared, limits=LIMITS, raw=True, given=Invocation(("2",), keeps="state"))
        assert session.receive() is None
        assert session.finish().files == {"a": b"aa"}
        endless = box.prepare(Program("python", b"open('state/a', 'w').write('a')\nwhile True: pass"))
        assert not isinstance(endless, sandbox.CompileFailure)
        result = box.run(endless, limits=Limits(cpu_s=0.3, wall_s=5.0), given=Invocation(keeps="state"))
        assert (result.ended, result.files) == (Exit.CPU_LIMIT, {})


@pytest.mark.parametrize(
    ("deed", "files"),
    [
        ("os.rmdir('state'); os.symlink('/dev', 'state')", {}),  # of endless files
        ("os.rmdir('state'); os.symlink('/proc/self', 'state')", {}),
        (
            "os.symlink('/dev/zero', 'state/z'); os.mkfifo('state/p'); os.mkdir('state/d'); open('state/a', 'w')",
            {"a": b""},
        ),
    ],
)
def test_only_files_of_the_directory_come_out(deed: str, files: dict[str, bytes]) -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", f"import os\n{deed}".encode()))
        assert not isinstance(prepared, sandbox.CompileFailure)
        result = box.run(prepared, limits=LIMITS, given=Invocation(keeps="state"))
        assert (result.ended, result.exit_code, result.files) == (Exit.EXITED, 0, files)
