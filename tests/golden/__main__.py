"""``python -m tests.golden FILE...``: every label, passed over total; fails below 100 %."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.golden import load, run

DATA = Path(__file__).parents[1] / "data" / "golden"


def main(arguments: list[str]) -> int:
    absent = [path for path in arguments if not Path(path).is_file()]
    if absent:
        print(f"no such file: {', '.join(absent)}")
        return 2
    outcomes = run(load(arguments or sorted(DATA.glob("*.jsonl"))))
    if not outcomes:
        print("no vectors found")
        return 2
    for name, outcome in outcomes.items():
        print(f"{name} {outcome.passed}/{outcome.total}{'' if outcome.mapped else ' unmapped'}")
        for failure in outcome.failures[:3]:
            print(f"    {failure[:400]}")
    passed, total = sum(o.passed for o in outcomes.values()), sum(o.total for o in outcomes.values())
    unmapped = sum(not o.mapped for o in outcomes.values())
    print(f"all {passed}/{total}, {len(outcomes)} labels, {unmapped} unmapped")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
