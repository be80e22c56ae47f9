"""Output arrives whole, however fast it is read: no program sees how fast that is."""

from __future__ import annotations

import os
import shutil

import pytest

from sandbox import Exit, Limits
from tests.sandbox.conftest import Runner

_MIB = 1 << 20

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@needs_node
@pytest.mark.parametrize("size", [70_000, 150_000, _MIB - 1])
def test_node_loses_nothing_by_exiting(run: Runner, size: int) -> None:
    for ending in ("process.exit(0)", "process.exitCode = 0"):
        source = f"console.log('x'.repeat({size}));{ending}"
        result = run(source, language="javascript")
        assert (result.ok, len(result.stdout)) == (True, size + 1)
    assert len(run(f"console.error('e'.repeat({size}));process.exit(0)", language="javascript").stderr) == size + 1


@needs_node
def test_the_output_of_node_is_bounded_and_exact(run: Runner) -> None:
    limits = Limits(stdout_bytes=100_000, disk_bytes=_MIB)
    result = run("for(;;) console.log('x'.repeat(999))", language="javascript", limits=limits)
    assert (result.ended, result.stdout_truncated, len(result.stdout)) == (Exit.OUTPUT_LIMIT, True, 100_000)
    larger = Limits(stdout_bytes=4 * _MIB, disk_bytes=_MIB)
    result = run(
        f"process.stdout.write('x'.repeat({4 * _MIB - 1}))",
        language="javascript",
        limits=larger,
    )
    assert (result.ok, len(result.stdout)) == (True, 4 * _MIB - 1)
    exact = run("process.stdout.write('x'.repeat(100000));process.exit(0)", language="javascript", limits=limits)
    assert (exact.ok, len(exact.stdout)) == (True, 100_000)


@needs_node
def test_the_output_of_node_keeps_its_order(run: Runner) -> None:
    source = (
        "const fs=require('fs');console.log('a');fs.writeSync(1,'b\\n');fs.appendFileSync('/dev/stdout','c\\n');"
        "require('child_process').execSync('echo d',{stdio:'inherit'});console.log('e');process.exit(3)"
    )
    result = run(source, language="javascript")
    assert (result.exit_code, result.stdout) == (3, b"a\nb\nc\nd\ne\n")


@needs_node
def test_what_is_written_by_none_is_empty(run: Runner) -> None:
    assert run("process.exit(0)", language="javascript").stdout == b""


def test_a_program_that_does_not_wait_sees_no_full_pipe(run: Runner) -> None:
    source = "import os\nos.set_blocking(1, False)\nos.write(1, b'x' * 60_000)"
    assert len(run(source).stdout) == 60_000


def test_a_program_that_writes_byte_by_byte_costs_no_turn_for_each(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, turns = os.read, 0

    def counted(descriptor: int, size: int) -> bytes:
        nonlocal turns
        turns += 1
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", counted)
    result = run("import os\nfor _ in range(200_000): os.write(1, b'a')", limits=Limits(cpu_s=60, wall_s=600))
    assert (result.ended, len(result.stdout)) == (Exit.EXITED, 200_000)
    assert turns < 20_000
