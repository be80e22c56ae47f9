"""Accuracy on the authored cases and the public rollouts, beside math-verify in the same run.

    python -m benchmarks.math.accuracy [--cases FILE] [--verbose]

Prints precision and recall apart, false positives and false negatives per category, total time, and the
latency of the engine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reward_servers.engines.math import judge

DATA = Path(__file__).resolve().parents[2] / "tests" / "data" / "math"


@dataclass
class Tally:
    """Counts of one grader on one corpus."""

    name: str
    right: int = 0
    positives: Counter[str] = field(default_factory=Counter)
    negatives: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    claimed: int = 0
    wanted: int = 0
    times: list[tuple[float, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, row: dict[str, Any], said: bool, seconds: float) -> None:
        """Count one case."""
        expected = row["expected"]["score"] == 1.0
        category = row.get("metadata", {}).get("category", row["task"])
        self.times.append((seconds, category))
        self.right += said == expected
        self.claimed += said
        self.wanted += expected
        self.hits += said and expected
        if said != expected:
            (self.positives if said else self.negatives)[category] += 1
            self.lines.append(
                f"{'FP' if said else 'FN'} {category}: {row['reference']['answer']!r} | {row['response'][-100:]!r}"
            )

    def report(self, verbose: bool) -> None:
        """Print the summary."""
        count = len(self.times)
        ordered = sorted(t for t, c in self.times if c != "robust")
        print(
            f"  {self.name:12} accuracy {self.right / count:.4f}  precision {self.hits / max(1, self.claimed):.4f}  "
            f"recall {self.hits / max(1, self.wanted):.4f}  FP {self.positives.total()}  FN {self.negatives.total()}  "
            f"total {sum(t for t, _ in self.times):.2f} s"
        )
        print(
            f"  {'':12} without the robust category: p50 {ordered[len(ordered) // 2] * 1e3:.3f} ms  "
            f"p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms  max {ordered[-1] * 1e3:.1f} ms"
        )
        if verbose:
            print(f"  {'':12} FP by category {dict(self.positives)}  FN by category {dict(self.negatives)}")
            for line in self.lines:
                print("      " + line)


def ours(gold: str, response: str) -> bool:
    return judge(response, gold).correct


def math_verify() -> Callable[[str, str], bool]:
    from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

    config = [LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig()]

    def grade(gold: str, response: str) -> bool:
        return bool(verify(parse(f"${gold}$", config), parse(response, config)))

    return grade


def run(path: Path, graders: dict[str, Callable[[str, str], bool]], verbose: bool) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    print(f"{path.name}: {len(rows)} cases")
    tallies = []
    for name, grade in graders.items():
        grade("1", "\\boxed{\\sqrt{2}}")  # imports
        tally = Tally(name)
        for row in rows:
            start = time.process_time()
            said = grade(str(row["reference"]["answer"]), row["response"])
            tally.add(row, said, time.process_time() - start)
        tally.report(verbose or name == "engine")
        tallies.append(tally)
    if len(tallies) == 2:
        ratio = sum(t for t, _ in tallies[1].times) / sum(t for t, _ in tallies[0].times)
        print(f"  total time: {ratio:.1f} times less than math-verify")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", type=Path, action="append", help="rollout files; default: the cases and both public sets"
    )
    parser.add_argument("--alone", action="store_true", help="without math-verify")
    parser.add_argument("--verbose", action="store_true", help="list the disagreements of both graders")
    args = parser.parse_args()
    graders: dict[str, Callable[[str, str], bool]] = {"engine": ours}
    if not args.alone:
        graders["math-verify"] = math_verify()
    for path in args.cases or [DATA / "cases.jsonl", DATA / "math_rollouts.jsonl", DATA / "gsm8k_rollouts.jsonl"]:
        run(path, graders, args.verbose)


if __name__ == "__main__":
    main()
