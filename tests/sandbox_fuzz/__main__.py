"""Command line of the fuzzer."""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tests.attacks import _people


def _run(who: str, runs: int, seed: int, pairs: int) -> tuple[list[dict[str, str]], str]:
    """All rows, and what was left on the host."""
    reading, writing = os.pipe()
    rows = []
    with contextlib.ExitStack() as stack:
        arguments = [str(runs), str(seed), str(pairs)]
        stack.enter_context(_people.service(who, arguments, {}, writing, module="tests.sandbox_fuzz._worker"))
        os.close(writing)
        for line in stack.enter_context(os.fdopen(reading)):
            rows.append(json.loads(line))
    if not rows or "left" not in rows[-1]:
        return rows, "the service ended before it had reported"
    return rows[:-1], str(rows[-1]["left"])


def main() -> int:
    """Fuzz, print what must not happen with its seed, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox_fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="hostile programs, shared among those who run them")
    parser.add_argument("--seed", type=int, help="number of the first; any by default")
    parser.add_argument("--pairs", type=int, default=2, help="how many are judged at once, each beside an honest one")
    parser.add_argument("--who", choices=("root", "user", "self"), action="append", help="default: all possible")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else secrets.randbelow(1 << 31)
    people = options.who or (["root", "user"] if os.geteuid() == 0 else ["self"])
    print(f"seed {seed}", flush=True)
    started, bad, total = time.monotonic(), 0, 0
    shares = [(options.runs + number) // len(people) for number in range(len(people))]
    with ThreadPoolExecutor(len(people)) as pool:
        services = [
            pool.submit(_run, who, share, seed + sum(shares[:number]), options.pairs)
            for number, (who, share) in enumerate(zip(people, shares, strict=True))
        ]
    for number, (who, share) in enumerate(zip(people, shares, strict=True)):
        rows, left = services[number].result()
        total += share
        verdicts = collections.Counter(row["verdict"] for row in rows)
        faults = verdicts["fault"]
        changed = sum(row["honest"] != "accepted" for row in rows)
        for row in rows:
            if "reason" in row:
                print(f"as {who}, seed {row['seed']}: {row['verdict']}, {row['name']} {row['honest']}")
                print(row["reason"], row["source"], sep="\n")
        print(f"as {who}: {len(rows)} runs, {faults} faults, {verdicts['accepted']} wrong ones accepted")
        print(f"  {changed} verdicts of honest neighbours changed, left on the host: {left or 'nothing'}")
        print(f"  {dict(verdicts)}")
        bad += faults + changed + verdicts["accepted"] + bool(left) + (len(rows) != share)
    print(f"{total} runs in {time.monotonic() - started:.0f} s from seed {seed}: {'failed' if bad else 'passed'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
