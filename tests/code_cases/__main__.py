"""Command: judge label files, print each failure and `passed/total` last, exit non-zero below 100 %.

With `--oversubscribe 1,4,8 --repeat 5` every line is judged at each of these loads, that often: that many programs
run at once per core. A line that is judged differently at any load or in any repeat is a failure, label or not.
"""

from __future__ import annotations

import argparse
import os
import queue
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import sandbox
from reward_servers.engines.code import Ceiling, Slots
from tests.attacks._backend import chosen_config
from tests.code_cases._lines import Line, Outcome, judge_line, read_lines


def judge_all(lines: Sequence[Line], jobs: int, ceiling: Ceiling, config: sandbox.SandboxConfig) -> list[Outcome]:
    """Judge lines side by side, each job with slots of its own."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for index in range(len(lines)):
        waiting.put(index)
    outcomes: dict[int, Outcome] = {}
    errors: list[BaseException] = []

    opener = partial(sandbox.open_sandbox, config=config)

    def work() -> None:
        try:
            with Slots(opener) as slots:
                while not errors:
                    index = waiting.get_nowait()
                    outcomes[index] = judge_line(lines[index], slots, ceiling)
        except queue.Empty:
            return
        except BaseException as error:  # noqa: BLE001 (raised again by the main thread)
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(lines)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [outcomes[index] for index in range(len(lines))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.code_cases", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--repeat", type=int, default=1, help="how often each load is run")
    parser.add_argument("--oversubscribe", default="1", help="programs at once per core, e.g. 1,4,8")
    parser.add_argument("--cpu-s", type=float, default=2.0, help="CPU limit where a line gives none")
    parser.add_argument("--wall-only", action="store_true", help="judge also where processor time is not measured")
    parser.add_argument("--only", default="", help="judge only lines whose id contains this")
    options = parser.parse_args(arguments)
    lines = [line for path in options.files for line in read_lines(path) if options.only in line.name]
    config = chosen_config()
    with sandbox.open_sandbox(config=config) as box:
        measured = box.report.cpu_clock != "none"
    limits = sandbox.Limits(cpu_s=options.cpu_s, wall_s=30.0)
    ceiling = Ceiling(default=limits, bounds_cpu=measured or options.wall_only)
    cores = len(os.sched_getaffinity(0))
    passed = total = differing = 0
    skipped: dict[str, str] = {}
    first: dict[int, str] = {}
    for factor in map(int, options.oversubscribe.split(",")):
        for repeat in range(1, options.repeat + 1):
            here = 0
            for index, outcome in enumerate(judge_all(lines, factor * cores, ceiling, config)):
                if outcome.skipped:
                    skipped[lines[index].name] = outcome.skipped
                    continue
                total += 1
                same = first.setdefault(index, outcome.said) == outcome.said
                if not same:
                    differing += 1
                    print(f"DIFFERS {lines[index].name} at {factor}x: {outcome.said}; first: {first[index]}")
                if outcome.problem:
                    print(f"FAIL {lines[index].name} at {factor}x: {outcome.problem}")
                here += same and not outcome.problem
            passed += here
            print(f"{factor}x, run {repeat}: {here} of {len(lines) - len(skipped)} as labelled", flush=True)
    for name, reason in skipped.items():
        print(f"SKIP {name}: {reason}")
    print(f"{differing} judgements differ between loads and repeats")
    print(f"{passed}/{total}")
    return 0 if passed == total and total > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
