"""Command line of the attack harness."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from typing import Any, TextIO

from tests.attacks import _people
from tests.attacks._backend import chosen_environment
from tests.attacks._judge import Status
from tests.attacks._lines import environment, load, new_token


def _start(who: str, files: list[str], stack: contextlib.ExitStack) -> TextIO:
    """Start a service that runs all lines as one kind of user; returns where its rows come from."""
    token = new_token()
    reading, writing = os.pipe()
    arguments = [token, *map(os.path.abspath, files)]
    stack.enter_context(
        _people.service(who, arguments, {**environment(load(files), token), **chosen_environment()}, writing)
    )
    os.close(writing)
    return stack.enter_context(os.fdopen(reading))


def _rows(results: TextIO, files: list[str]) -> list[dict[str, Any]]:
    """A row for each line."""
    rows = [json.loads(row) for row in results]
    found = {row["id"] for row in rows}
    missing = [line["id"] for line in load(files) if line["id"] not in found]
    return rows + [{"id": name, "status": Status.FAIL, "reason": "the service ended before"} for name in missing]


def main() -> int:
    """Attack, print, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--who", choices=("root", "user", "self"), action="append", help="default: all possible")
    options = parser.parse_args()
    people = options.who or (["root", "user"] if os.geteuid() == 0 else ["self"])
    passed = total = 0
    with contextlib.ExitStack() as stack:
        services = [(who, _start(who, options.files, stack)) for who in people]
        for who, results in services:
            for row in _rows(results, options.files):
                status = row["status"]
                total += status != Status.SKIPPED
                passed += status == Status.PASS
                if status != Status.PASS:
                    print(f"{status.upper()} as {who}: {row['id']}: {row['reason']}")
    print(f"{passed}/{total}")
    return 0 if total and passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
