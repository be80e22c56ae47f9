"""Command line of the sandbox benchmark."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sandbox
from benchmarks.sandbox._measure import Action, Cpu, by_turns, fork_floor, p50, p99
from sandbox import Limits, Prepared, Program, Sandbox

_LIMITS = Limits(cpu_s=10, wall_s=60)
_TESTS = 20
_HELLO = b"print('hello')\n"
_NUMPY = b"import numpy as np\nprint(np.arange(10).sum())\n"
_CPP = b"#include <iostream>\nint main(){std::cout<<42<<std::endl;}\n"
_PYTHON = sys.executable


class Table:
    """Prints ratios next to what is aimed at."""

    def __init__(self) -> None:
        self.missed = 0

    def row(self, name: str, value: float, most: float | None = None, *, least: float | None = None) -> None:
        """Print one ratio."""
        aim = f"<= {most:g}" if most is not None else f">= {least:g}" if least is not None else ""
        met = (most is None or value <= most) and (least is None or value >= least)
        self.missed += not met
        print(f"  {name:<76} {value:8.2f}  {aim:<8} {'' if met else 'MISSED'}", flush=True)


def _spawn(*argv: str) -> Action:
    def once() -> None:
        subprocess.run(argv, stdout=subprocess.PIPE, check=True)

    return once


def _prepare(
    box: Sandbox, source: bytes, language: str = "python", preload: str | None = None, runs: int = 1
) -> Prepared:
    prepared = box.prepare(Program(language, source, preload=preload), runs=runs)
    assert isinstance(prepared, Prepared), prepared
    return prepared


def _run(box: Sandbox, prepared: Prepared) -> Action:
    def once() -> None:
        result = box.run(prepared, limits=_LIMITS)
        assert result.ok, result

    return once


def _whole(box: Sandbox, source: bytes) -> Action:
    def once() -> None:
        prepared = _prepare(box, source)
        _run(box, prepared)()
        box.discard(prepared)

    return once


def _cpu(table: Table, box: Sandbox, cpu: Cpu, directory: Path, calls: int) -> None:
    if not cpu.known:
        print("CPU: not measured, no cpuacct group can be made by this user")
        return
    hello, numpy = str(directory / "hello.py"), str(directory / "numpy_sum.py")
    plain = cpu.per_call(_spawn(_PYTHON, hello), calls)
    isolated = cpu.per_call(_run(box, _prepare(box, _HELLO)), calls)
    with_compile = cpu.per_call(_whole(box, _HELLO), calls)
    print(f"CPU per run, ms: python file {plain:.2f}, isolated {isolated:.2f}, compiled anew {with_compile:.2f}")
    table.row("hello: CPU of an isolated run / python file", isolated / plain, 0.75)
    table.row("hello: the same, compiled anew for each run", with_compile / plain, 0.75)
    if "scientific" in {finding.subject.split()[-1] for finding in sandbox.diagnose() if finding.ok}:
        plain = cpu.per_call(_spawn(_PYTHON, numpy), max(5, calls // 10))
        warm = cpu.per_call(_run(box, _prepare(box, _NUMPY, preload="scientific")), max(5, calls // 5))
        cold = cpu.per_call(_run(box, _prepare(box, _NUMPY)), max(5, calls // 10))
        print(
            f"CPU per run, ms: python file with numpy {plain:.2f}, isolated and preloaded {warm:.2f}, cold {cold:.2f}"
        )
        table.row("numpy: CPU of an isolated run, preloaded / python file", warm / plain, 0.75)
        table.row("numpy: the same without preloading", cold / plain)
    if "cpp" in sandbox.languages():
        binary = str(directory / "main")
        bare = cpu.per_call(_spawn(binary), calls)
        isolated = cpu.per_call(_run(box, _prepare(box, _CPP, "cpp")), calls)
        print(f"CPU per run, ms: bare spawn of a C++ program {bare:.2f}, isolated {isolated:.2f}")
        table.row("C++: CPU of an isolated run / bare spawn", isolated / bare)


def _latency(table: Table, box: Sandbox, directory: Path, rounds: int) -> None:
    with fork_floor(_PYTHON, "-I", "-S") as bare, fork_floor(_PYTHON, imports="sandbox._ns._slot") as worker:
        ways: dict[str, Action] = {
            "fork (bare)": bare,
            "fork (worker)": worker,
            "start": _spawn(_PYTHON, "-I", "-S", "-c", "pass"),
            "file": _spawn(_PYTHON, str(directory / "hello.py")),
            "isolated": _run(box, _prepare(box, _HELLO)),
        }
        times = by_turns(ways, rounds)
    print("latency, ms: " + ", ".join(f"{name} p50 {p50(v):.2f} p99 {p99(v):.2f}" for name, v in times.items()))
    isolated = p50(times["isolated"])
    table.row(
        "p50 of an isolated run / fork floor of a worker that imported sandbox",
        isolated / p50(times["fork (worker)"]),
        2.0,
    )
    table.row(
        "p50 of an isolated run / fork floor of an interpreter with nothing imported",
        isolated / p50(times["fork (bare)"]),
    )
    table.row("p50 of an isolated run / python -I -S -c pass", isolated / p50(times["start"]), 0.6)
    table.row("p50 of an isolated run / python file", isolated / p50(times["file"]))


def _rollout(table: Table, box: Sandbox, directory: Path, rounds: int) -> None:
    def isolated() -> None:
        prepared = _prepare(box, _HELLO, runs=_TESTS)
        for _ in range(_TESTS):
            box.run(prepared, limits=_LIMITS)
        box.discard(prepared)

    plain_once = _spawn(_PYTHON, str(directory / "hello.py"))

    def plain() -> None:
        for _ in range(_TESTS):
            plain_once()

    times = by_turns({"isolated": isolated, "plain": plain}, rounds)
    print(f"{_TESTS} tests, ms: isolated {p50(times['isolated']):.1f}, subprocess each {p50(times['plain']):.1f}")
    table.row(f"{_TESTS} tests isolated / subprocess per test", p50(times["isolated"]) / p50(times["plain"]), 0.5)


def _saturation(table: Table, directory: Path, runs: int) -> None:
    width = 2 * (os.cpu_count() or 1)

    def rate(actions: list[Action]) -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(width) as pool:
            list(pool.map(lambda action: [action() for _ in range(runs)], actions))
        return width * runs / (time.perf_counter() - start)

    boxes = [sandbox.open_sandbox() for _ in range(width)]
    try:
        isolated = rate([_run(box, _prepare(box, _HELLO)) for box in boxes])
    finally:
        for box in boxes:
            box.close()
    plain = rate([_spawn(_PYTHON, str(directory / "hello.py"))] * width)
    print(f"runs/s with {width} at once: isolated {isolated:.0f}, python file {plain:.0f}")
    table.row(f"runs/s isolated / python file, {width} at once", isolated / plain)


def _slots(table: Table) -> None:
    start = time.perf_counter()
    sandbox.open_sandbox().close()
    once = time.perf_counter() - start
    start = time.perf_counter()
    box = sandbox.open_sandbox()
    opened = time.perf_counter() - start
    box.close()
    print(f"slot: opened with self-test in {opened * 1e3:.0f} ms, opened and closed in {once * 1e3:.0f} ms")


def main() -> int:
    """Measure everything and return the number of ratios that miss their aim."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox")
    parser.add_argument("--rounds", type=int, default=100)
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "hello.py").write_bytes(_HELLO)
        (directory / "numpy_sum.py").write_bytes(_NUMPY)
        if "cpp" in sandbox.languages():
            (directory / "main.cpp").write_bytes(_CPP)
            subprocess.run(["g++", "-O2", directory / "main.cpp", "-o", directory / "main"], check=True)
        cpu = Cpu()
        try:
            with sandbox.open_sandbox() as box:
                print(f"memory bound: {box.report.memory_bound}, load {os.getloadavg()[0]:.1f}")
                _latency(table, box, directory, options.rounds)
                _cpu(table, box, cpu, directory, options.rounds)
                _rollout(table, box, directory, max(3, options.rounds // 10))
            _saturation(table, directory, max(10, options.rounds // 2))
            _slots(table)
        finally:
            cpu.close()
    return table.missed


if __name__ == "__main__":
    sys.exit(main())
