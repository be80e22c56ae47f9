"""Programs that are talked to over their standard streams, and their arguments."""

from __future__ import annotations

import pytest

import sandbox
from sandbox import Exit, Limits, Program

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
            session = box.start(prepared, limits=LIMITS, raw=True, args=("a", "b c"))
            for number in range(3):
                session.send(b"%d\n" % number)
                assert session.receive(5.0) == b"%d a b c\n" % (2 * number)
            result = session.finish()
            assert (result.ended, result.exit_code, result.stdout) == (Exit.EXITED, 0, b"")
        plain = box.run(prepared, limits=LIMITS, stdin=b"4\n", args=("x", "y"))
        assert plain.stdout == b"8 x y\n"


def test_limits_hold_in_a_conversation() -> None:
    with sandbox.open_sandbox() as box:
        prepared = box.prepare(Program("python", b"print('ready', flush=True)\nwhile True: pass"))
        assert not isinstance(prepared, sandbox.CompileFailure)
        session = box.start(prepared, limits=Limits(cpu_s=0.3, wall_s=5.0), raw=True)
        assert session.receive(5.0) == b"ready\n"
        assert session.receive() is None
        assert session.finish().ended is Exit.CPU_LIMIT
