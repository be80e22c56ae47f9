"""Time of judging one program by 20 tests, as ratios measured side by side in one run.

The baseline is the usual way without isolation: one `python file` per test, input and output through pipes, output
compared. `engine` is the share that is not spent in runs: the CPU time of the judging process itself per judgement.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sandbox
from reward_servers.engines.code import Slots, Submission, TestSpec, judge, parse_reference

TESTS = 20
STDIO_PROGRAM = "a, b = map(int, input().split())\nprint(a + b)\n"
CALL_PROGRAM = "def add(a, b):\n    return a + b\n"
CASES = [(n, 3 * n + 1) for n in range(TESTS)]


def _specs() -> dict[str, tuple[str, TestSpec]]:
    asserts = "".join(f"    assert candidate({a}, {b}) == {a + b}\n" for a, b in CASES)
    calls = [{"args": [a, b], "returns": a + b} for a, b in CASES]
    loop = f"    for n in range({TESTS}):\n        assert candidate(n, id(n) % 7) == n + id(n) % 7\n"
    return {
        "stdio, a run per test": (
            STDIO_PROGRAM,
            parse_reference({"tests": [{"stdin": f"{a} {b}\n", "stdout": f"{a + b}\n"} for a, b in CASES]}),
        ),
        "call, a run per test": (
            CALL_PROGRAM,
            parse_reference({"tests": {"kind": "call", "entry": "add", "cases": calls}}),
        ),
        "check(candidate), decided outside": (
            CALL_PROGRAM,
            parse_reference({"tests": {"kind": "assert", "code": f"def check(candidate):\n{asserts}check(add)"}}),
        ),
        "check(candidate), run as code": (
            CALL_PROGRAM,
            parse_reference({"tests": {"kind": "assert", "code": f"def check(candidate):\n{loop}check(add)"}}),
        ),
    }


def _subprocesses(directory: Path) -> None:
    """The usual way: write the program, start an interpreter per test, compare."""
    path = directory / "main.py"
    path.write_text(STDIO_PROGRAM)
    for a, b in CASES:
        done = subprocess.run(
            [sys.executable, str(path)], input=f"{a} {b}\n", capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(a + b)


def _raw_runs(box: sandbox.Sandbox) -> None:
    """The same runs as a judgement makes, without judging."""
    prepared = box.prepare(sandbox.Program("python", STDIO_PROGRAM.encode()), runs=TESTS)
    assert isinstance(prepared, sandbox.Prepared)
    for a, b in CASES:
        box.run(prepared, stdin=f"{a} {b}\n".encode(), limits=sandbox.Limits())
    box.discard(prepared)


def measure(repeats: int) -> dict[str, tuple[float, float]]:
    """Median wall time and median CPU time of this process, in seconds, by way."""
    times: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, way: Callable[[], object]) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        way()
        times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))

    def judged(program: str, spec: TestSpec, slots: Slots) -> None:
        judgement = judge(Submission(program), spec, slots)
        assert judgement.score == 1.0, judgement.evidence()

    with tempfile.TemporaryDirectory() as directory, Slots(sandbox.open_sandbox) as slots:
        specs = _specs()
        for _ in range(repeats):
            timed("subprocess per test", lambda: _subprocesses(Path(directory)))
            timed("sandbox runs alone", lambda: _raw_runs(slots.program))
            for name, (program, spec) in specs.items():
                timed(name, lambda program=program, spec=spec: judged(program, spec, slots))  # type: ignore[misc]
    return {
        name: (statistics.median(wall for wall, _ in taken), statistics.median(cpu for _, cpu in taken))
        for name, taken in times.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.code", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    measured = measure(parser.parse_args().repeats)
    baseline = measured["subprocess per test"][0]
    runs = measured["sandbox runs alone"][0]
    print(f"one program, {TESTS} tests; medians")
    print(f"{'way':36}{'ms':>8}{'x subprocess':>14}{'x sandbox runs':>16}{'engine CPU ms':>15}")
    for name, (wall, cpu) in measured.items():
        own = "" if name == "subprocess per test" else f"{1000 * cpu:.1f}"
        print(f"{name:36}{1000 * wall:8.1f}{wall / baseline:14.2f}{wall / runs:16.2f}{own:>15}")


if __name__ == "__main__":
    main()
