"""What checking citations costs, and what a rubric's criteria cost a prefix cache.

``python -m benchmarks.verifiers.citations`` prints the CPU seconds of 20,000 statements without a judge, with and
without comparing each with the words of what it cites, and how many times what one question has an engine with a
prefix cache reads for ten criteria; with ``--tokenizer`` in that model's tokens.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reward_servers.engines.citations import Evidence, Source, check_citations, measured_by
from reward_servers.engines.judging import Protocol, Question

_NAMES = ("Varga", "Okafor", "Lindqvist", "Marchetti", "Tanaka", "Brandt", "Silva", "Novak")
_PER_ANSWER = 50
_CRITERIA = 10
_CRITERION = (
    "The response names item N of the list in the order of the report, says who measured it and when, gives the value "
    "with its unit, and tells how far it can be trusted and why that is so."
)


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


def _prose(words: int) -> str:
    said = (f"{_NAMES[at % len(_NAMES)]} measured mast {at} of the harbour" for at in range(words))
    return " ".join(" ".join(said).split()[:words])


def _conversation(number: int, response: str, criterion: str) -> list[dict[str, str]]:
    question = Question(Protocol.BINARY, criterion.replace("N", str(number)), "What is it?", (response,), seed=7)
    return [{"role": str(one["role"]), "content": str(one["content"])} for one in question.messages()]


def _prefill(
    cut: Callable[[list[dict[str, str]]], Sequence[Any]], response: str, criterion: str
) -> tuple[float, float]:
    """What ten criteria make an engine read that keeps what it has read.

    Args:
        cut: Cuts a conversation into the units of the engine's cache.
        response: The judged response.
        criterion: The criterion; an N in it is replaced by a number.

    Returns:
        What is read for all in units of what is read for one; and the least share of a conversation, the shorter of
        two, that it begins with as another does.
    """
    asked: list[Sequence[Any]] = []
    read: list[int] = []
    shares: list[float] = []
    for number in range(_CRITERIA):
        text = cut(_conversation(number, response, criterion))
        shares += [_shared(text, other) / min(len(text), len(other)) for other in asked]
        read.append(len(text) - max((_shared(text, other) for other in asked), default=0))
        asked.append(text)
    return sum(read) / read[0], min(shares)


def _shared(one: Sequence[Any], other: Sequence[Any]) -> int:
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def _words(conversation: list[dict[str, str]]) -> list[str]:
    return [word for message in conversation for word in message["content"].split()]


def _tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    where = (path.parent, {"gguf_file": path.name}) if path.suffix == ".gguf" else (path, {})
    return AutoTokenizer.from_pretrained(where[0], local_files_only=True, **where[1])


def _of_tokens(tokenizer: Any, text: str, size: int) -> str:
    """The first words of a text that are as many tokens, or the fewest that are more."""
    words = text.split(" ")
    count = next(at for at in range(1, len(words) + 1) if len(tokenizer.encode(" ".join(words[:at]))) >= size)
    return " ".join(words[:count])


def _say(what: str, found: tuple[float, float]) -> None:
    print(
        f"{_CRITERIA} criteria of a response of {what}: {found[0]:.2f} times the prefill of one; "
        f"two begin alike for {100 * found[1]:.1f} % or more of the shorter"
    )


def _prefills(path: Path | None) -> None:
    if path is None:
        for size in (300, 1000, 3000):
            _say(f"{size} words", _prefill(_words, _prose(size), "Criterion N is met."))
        return
    tokenizer = _tokenizer(path)

    def cut(conversation: list[dict[str, str]]) -> Sequence[Any]:
        text = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        return list(tokenizer.encode(text, add_special_tokens=False))

    criterion = _of_tokens(tokenizer, _CRITERION, 30)
    for size in (500, 1500, 3000):
        response = _of_tokens(tokenizer, _prose(size), size)
        counts = f"{len(tokenizer.encode(response))} tokens with criteria of {len(tokenizer.encode(criterion))}"
        _say(counts, _prefill(cut, response, criterion))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path, help="a model's directory or GGUF file; words are counted without it")
    chosen = parser.parse_args()
    for what, words in (("markers and statements", False), ("with support by words", True)):
        found = [_seconds(chosen.statements, words=words) for _ in range(chosen.rounds)]
        times = sorted(seconds for _, seconds in found)
        spread = f"{times[0]:.2f} to {times[-1]:.2f}"
        print(f"{found[0][0]} statements, {what}: {statistics.median(times):.2f} s of CPU ({spread})")
    _prefills(chosen.tokenizer)


if __name__ == "__main__":
    main()
