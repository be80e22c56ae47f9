"""How many items a verifier judges in the time in which a trivial one judges another number.

    python -m benchmarks.verifiers [NAME ...] [--rounds N] [--seconds S]

One process and no server: reading reference and options, judging, and making the verdict. Items are the labelled cases
of each verifier, honest ones alone; their median counts, as a few are made to be long. The trivial verifier compares
two texts; both take turns, and the ratio is that of the medians over the rounds. What asks a judge or a model is not
here: the model decides.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from reward_servers import Reference, Rollout, Score, verifier
from reward_servers.core import Verifier, find
from reward_servers.core._bound import Instance
from tests.verifiers.cases import FOLDER, Subject, judged, rows_of, subjects_of
from tests.verifiers.hosting import HOSTED

_SLOW = 0.1
WHY = {
    "code": "each test is a fresh process in a sandbox",
    "mutation": "the tests run on every program, each time in a fresh process in a sandbox",
    "sql": "each query is a fresh process in a sandbox",
    "image": "pictures are decoded and compared",
    "citation": "each statement is compared with every passage that it cites",
    "language": "n-grams of every sentence, in a model of languages",
    "yaml_match": "PyYAML's safe loader is written in Python",
    "ordinal": "numbers are classified and compared in arrays of numpy",
    "call_form": "arguments are checked by the JSON Schema of their tool",
    "equation": "coefficients are solved for in exact fractions",
}
"""Why a verifier takes more than ten times as long."""


class _Answer(Reference):
    answer: str


@verifier("bench/trivial", version="1")
def trivial(rollout: Rollout, ref: _Answer) -> Score:
    """Whether the response is the reference."""
    return Score(float(rollout.response == ref.answer))


_TRIVIAL = [{"rollout_id": "t", "group_id": "t", "response": "42", "reference": {"answer": "42"}, "expected": {}}]
_OWN = {
    "math": [{**_TRIVIAL[0], "response": "So it is \\boxed{\\frac{1}{2}}.", "reference": {"answer": "0.5"}}],
    "code": [
        {
            **_TRIVIAL[0],
            "response": "```python\nprint(int(input()) * 2)\n```",
            "reference": {"tests": [{"stdin": "21", "stdout": "42"}]},
        }
    ],
}
"""Items of verifiers whose cases are kept elsewhere."""


class Timed:
    """A verifier, and how long it takes over its items."""

    def __init__(self, declared: Verifier, subjects: Sequence[Subject]) -> None:
        self._instance = Instance(declared, b"{}")
        self._subjects = subjects

    def microseconds(self, seconds: float) -> float:
        """Time per item: the median over the items of each one's median, all judged in turn for at least so long.

        A call in which the machine did something else is then one of many, and not part of a sum.
        """
        spent: list[list[float]] = [[] for _ in self._subjects]
        start = time.perf_counter()
        while not spent[0] or time.perf_counter() - start < seconds:
            for one, times in zip(self._subjects, spent, strict=True):
                before = time.perf_counter()
                judged(self._instance, one)
                times.append(time.perf_counter() - before)
        each = [statistics.median(times) / len(one.expected) for times, one in zip(spent, self._subjects, strict=True)]
        return 1e6 * statistics.median(each)

    def close(self) -> None:
        """Let go of what it holds."""
        self._instance.close()


def subjects(name: str) -> list[Subject]:
    """The honest cases of a verifier."""
    rows = _OWN[name] if name in _OWN else rows_of(name)
    return subjects_of(find(name), [row for row in rows if not row.get("hostile")])


def measure(names: Sequence[str], rounds: int, seconds: float) -> list[tuple[str, float, float]]:
    """Name, microseconds per item, and rate beside the trivial one, the slowest first."""
    beside = Timed(trivial, subjects_of(trivial, _TRIVIAL))
    found = []
    for name in names:
        timed = Timed(find(name), subjects(name))
        timed.microseconds(0.0)
        pairs = [(timed.microseconds(seconds), beside.microseconds(seconds / 4)) for _ in range(rounds)]
        timed.close()
        own, least = (statistics.median(side) for side in zip(*pairs, strict=True))
        found.append((name, own, least / own))
    beside.close()
    return sorted(found, key=lambda row: row[2])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="verifiers; all that have cases and need no settings without")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05, help="of a round, at least")
    given = parser.parse_args()
    names = given.names or sorted({*(file.stem for file in FOLDER.glob("*.jsonl")), *_OWN} - set(HOSTED))
    print("| verifier | µs per item | rate beside a trivial one | why |\n|---|---|---|---|")
    for name, own, rate in measure(names, given.rounds, given.seconds):
        why = WHY.get(name, "") if rate < _SLOW else ""
        print(f"| `{name}` | {own:,.0f} | {rate:.2g} | {why} |", flush=True)


if __name__ == "__main__":
    main()
