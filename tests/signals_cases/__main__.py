"""``python -m tests.signals_cases FILE...``: differences, then passed/total; non-zero below all."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.signals_cases import run

DATA = Path(__file__).parents[1] / "data" / "signals"


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or sorted(DATA.glob("*.jsonl"))
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        print(f"no such file: {', '.join(absent)}")
        return 2
    lines = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    reports = [run(json.loads(line)) for line in lines]
    for report in reports:
        if report.difference:
            print(f"{report.name}: {report.difference}")
    passed = sum(not report.difference for report in reports)
    print(f"{passed}/{len(reports)}")
    return 0 if reports and passed == len(reports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
