"""What checking citations costs, and what a rubric's criteria cost a prefix cache.

``python -m benchmarks.verifiers.citations`` prints the CPU seconds of 20,000 statements without a judge, with and
without comparing each with the words of what it cites, and how many times the words of one question an engine with a
prefix cache reads for ten criteria.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

from reward_servers.engines.citations import Evidence, Source, check_citations, measured_by
from reward_servers.engines.judging import Protocol, Question

_NAMES = ("Varga", "Okafor", "Lindqvist", "Marchetti", "Tanaka", "Brandt", "Silva", "Novak")
_PER_ANSWER = 50
_CRITERIA = 10


def _answer(number: int) -> tuple[str, dict[str, str]]:
    """An answer of 50 statements over ten documents; each cites the one that it comes from."""
    names = [_NAMES[(number + place) % len(_NAMES)] for place in range(_PER_ANSWER)]
    facts = [
        f"The {place}th tower of {name} was built in {1500 + (7 * place + number) % 400}"
        for place, name in enumerate(names)
    ]
    documents = {f"d{one}": ". ".join(facts[one::10]) + "." for one in range(10)}
    return " ".join(f"{fact} [{place % 10 + 1}]." for place, fact in enumerate(facts)), documents


def _check(answer: str, documents: dict[str, str], *, words: bool) -> int:
    report = check_citations(answer, [Source(name, text) for name, text in documents.items()])
    if words:
        evidence = Evidence(documents)
        measured_by(report, lambda names, claim: evidence.may_support(names, claim.prose), documents)
    return len(report.claims)


def _seconds(statements: int, *, words: bool) -> tuple[int, float]:
    made = [_answer(number) for number in range(statements // _PER_ANSWER)]
    start = time.process_time()
    count = sum(_check(*one, words=words) for one in made)
    return count, time.process_time() - start


def _prefill(words: int) -> float:
    """What ten criteria make an engine read, in units of one of them; of each, what no question before it shares."""
    response = " ".join(f"word{number}" for number in range(words))
    asked: list[list[str]] = []
    read: list[int] = []
    for number in range(_CRITERIA):
        question = Question(Protocol.BINARY, f"Criterion {number} is met.", "What is it?", (response,), seed=7)
        text = [word for message in question.messages() for word in str(message["content"]).split()]
        read.append(len(text) - max((_shared(text, other) for other in asked), default=0))
        asked.append(text)
    return sum(read) / read[0]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    for what, words in (("markers and statements", False), ("with support by words", True)):
        found = [_seconds(chosen.statements, words=words) for _ in range(chosen.rounds)]
        times = sorted(seconds for _, seconds in found)
        spread = f"{times[0]:.2f} to {times[-1]:.2f}"
        print(f"{found[0][0]} statements, {what}: {statistics.median(times):.2f} s of CPU ({spread})")
    for size in (300, 1000, 3000):
        print(f"{_CRITERIA} criteria of a response of {size} words: {_prefill(size):.2f} times the prefill of one")


if __name__ == "__main__":
    main()
