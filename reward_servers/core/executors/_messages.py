"""What worker processes say to their server.

It is read without pickle, field by field and checked, since content that has taken a verifier over must not take the
server: results as fixed records for what has nothing but a score and a code, and as JSON for the rest.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reward_servers.core._outcomes import Fault, Outcome, Party, Skip, SkipReason, Step, Usage, Verdict, is_finite
from reward_servers.core.executors._frames import MessageError, frame

_HEAD = struct.Struct("<BIHI")
"""Kind, number of the chunk, number of records, bytes of the records."""
_RECORD = struct.Struct("<HBBIId")
"""Place in the chunk, form, code, run time and CPU time in microseconds, score."""
_RESULTS, _HELLO = 1, 2
_PLAIN, _RICH = 0, 1
_CODES = ("accepted", "wrong", "partial", "no_answer", "limit", "malformed")
_LARGE = 64 << 10
_LARGEST_U32 = (1 << 32) - 1
_LARGEST_I64 = (1 << 63) - 1


@dataclass(slots=True)
class ChunkResults:
    """Results of a chunk.

    Attributes:
        number: The chunk.
        places: Places in it of single rollouts whose verdict is nothing but a score and a code.
        scores: Their scores.
        codes: Their codes.
        run_us: Microseconds that each ran.
        cpu_us: Microseconds of CPU time of each.
        others: Of the other items place, outcomes (one for each rollout), run time in microseconds, and cost.
    """

    number: int
    places: Sequence[int] = ()
    scores: Sequence[float] = ()
    codes: Sequence[str] = ()
    run_us: Sequence[int] = ()
    cpu_us: Sequence[int] = ()
    others: list[tuple[int, list[Outcome], int, Usage]] = field(default_factory=list)

    def one_by_one(self) -> Iterator[tuple[int, list[Outcome], int, Usage]]:
        """All results in the form of ``others``."""
        for place, score, code, run_us, cpu_us in zip(
            self.places, self.scores, self.codes, self.run_us, self.cpu_us, strict=True
        ):
            yield place, [Verdict(score, code)], run_us, Usage(cpu_us)
        yield from self.others


def hello(facts: Mapping[str, Any]) -> bytes:
    """The first message of a worker: what it is, or why it cannot start."""
    return frame(bytes([_HELLO]) + json.dumps(facts).encode())


class ResultsWriter:
    """Gathers results of one chunk into one message.

    Attributes:
        count: How many it holds.
        large: Whether one of them says so much that it should not wait for others.
    """

    def __init__(self) -> None:
        self._number = 0
        self._records = bytearray()
        self._codes: dict[str, int] = {}
        self._rich: list[Any] = []
        self.count = 0
        self.large = False

    def add(self, number: int, place: int, outcomes: Sequence[Outcome], run_us: int, usage: Usage) -> None:
        """Add the result of one item; all of them are of one chunk between two calls of `take`."""
        self._number = number
        self.count += 1
        run_us, cpu_us = min(run_us, _LARGEST_U32), min(usage.cpu_us, _LARGEST_U32)
        first = outcomes[0]
        if len(outcomes) == 1 and isinstance(first, Verdict) and first.plain and usage.is_local:
            code = self._code(first.code)
            if code < 256:
                self._records += _RECORD.pack(place, _PLAIN, code, run_us, cpu_us, first.score)
                return
        self._records += _RECORD.pack(place, _RICH, 0, run_us, cpu_us, 0.0)
        spent = [usage.upstream_calls, usage.input_tokens, usage.output_tokens, usage.cost]
        self._rich.append([spent, [_encode_outcome(outcome) for outcome in outcomes]])
        size = sum(
            len(outcome.evidence) + len(outcome.feedback) for outcome in outcomes if isinstance(outcome, Verdict)
        )
        self.large = self.large or size > _LARGE

    def _code(self, code: str) -> int:
        if code in _CODES:
            return _CODES.index(code)
        return len(_CODES) + self._codes.setdefault(code, len(self._codes))

    def take(self) -> bytes:
        """The message, ready to be written; what is added later belongs to the next."""
        extras = json.dumps([list(self._codes), self._rich]).encode() if self._codes or self._rich else b""
        head = _HEAD.pack(_RESULTS, self._number, self.count, len(self._records))
        message = frame(head + self._records + extras)
        self._records, self._codes, self._rich, self.count, self.large = bytearray(), {}, [], 0, False
        return message


def _encode_outcome(outcome: Outcome) -> list[Any]:
    if isinstance(outcome, Verdict):
        steps = [[step.start, step.end, step.score, step.message, step.unit] for step in outcome.steps]
        evidence, feedback = outcome.evidence.decode(), outcome.feedback.decode()
        return ["v", outcome.score, outcome.code, outcome.aspects, steps, outcome.note, evidence, feedback]
    if isinstance(outcome, Fault):
        party, evidence = outcome.party.value, outcome.evidence.decode()
        return ["f", party, outcome.code, outcome.message, outcome.retryable, outcome.retry_after, evidence]
    return ["s", outcome.reason.value, outcome.retry_after]


def read_message(payload: bytes) -> ChunkResults | dict[str, Any]:
    """Read a message of a worker.

    Returns:
        Results, or what the worker said of itself first.

    Raises:
        MessageError: It is neither.
    """
    try:
        if payload[:1] == bytes([_RESULTS]):
            return _read_results(payload)
        greeting = json.loads(payload[1:]) if payload[:1] == bytes([_HELLO]) else None
    except MessageError:
        raise
    except (ValueError, TypeError, LookupError, StopIteration, struct.error, RecursionError) as error:
        raise MessageError(f"{type(error).__name__}: {error}"[:200]) from None
    if not isinstance(greeting, dict):
        raise MessageError("it is no message of a worker")
    return greeting


def _read_results(payload: bytes) -> ChunkResults:
    _, number, count, length = _HEAD.unpack_from(payload)
    start, end = _HEAD.size, _HEAD.size + length
    if length != count * _RECORD.size or len(payload) < end:
        raise MessageError("its records are cut off")
    codes: list[Any] = []
    rich: Iterator[Any] = iter(())
    if len(payload) > end:
        codes, values = json.loads(payload[end:])
        rich = iter(values)
    code_names = (*_CODES, *map(_text, codes))
    records = list(_RECORD.iter_unpack(payload[start:end]))
    results = ChunkResults(number)
    plain = [record for record in records if record[1] == _PLAIN]
    if plain:
        results.places, _, numbers, results.run_us, results.cpu_us, results.scores = zip(*plain, strict=True)
        results.codes = [code_names[code] for code in numbers]
        if not all(map(math.isfinite, results.scores)):
            raise MessageError("a score is no finite number")
    if len(plain) < count:
        for place, form, _, run_us, cpu_us, _ in records:
            if form != _PLAIN:
                spent, outcomes = next(rich)
                calls, tokens_in, tokens_out = map(_count, spent[:3])
                usage = Usage(cpu_us, calls, tokens_in, tokens_out, _finite(spent[3]))
                results.others.append((place, [_decode_outcome(outcome) for outcome in outcomes], run_us, usage))
    return results


def _decode_outcome(values: Sequence[Any]) -> Outcome:
    kind, *fields = values
    if kind == "v":
        score, code, aspects, steps, note, evidence, feedback = fields
        return Verdict(
            _finite(score),
            _text(code),
            tuple((_text(name), _part(value)) for name, value in aspects),
            tuple(
                Step(_position(start), _position(end), _part(value), _position(message), _text(unit))
                for start, end, value, message, unit in steps
            ),
            _text(note),
            _text(evidence).encode(),
            _text(feedback).encode(),
        )
    if kind == "f":
        party, code, message, retryable, retry_after, evidence = fields
        return Fault(
            Party(party), _text(code), _text(message), bool(retryable), _part(retry_after), _text(evidence).encode()
        )
    reason, retry_after = fields
    return Skip(SkipReason(reason), _part(retry_after))


def _finite(value: object) -> float:
    if not is_finite(value):
        raise MessageError(f"{value!r} is no finite number")
    return float(value)


def _part(value: object) -> float | None:
    return None if value is None else _finite(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MessageError(f"{value!r} is no text")
    if not value.isascii():
        value.encode()  # a lone surrogate has no form in a message
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value <= _LARGEST_I64:
        raise MessageError(f"{value!r} is no count")
    return int(value)


def _position(value: object) -> int:
    number = _count(value)
    if number > _LARGEST_U32:
        raise MessageError(f"{value!r} is no position")
    return number
