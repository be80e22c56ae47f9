r"""Replies of models that were trained as judges and answer in a form of their own, which they cannot sign.

| name | protocol | form |
|---|---|---|
| prometheus | likert_1_5, pairwise | ``[RESULT] 4``, ``[RESULT] A`` |
| skywork_critic | pairwise | ``[[A]]`` |
| rm_r1 | pairwise | ``<answer>[[A]]</answer>`` |
| deepseek_grm | likert_1_10, pairwise, best_of | ``\boxed{8}``, ``\boxed{8, 5}``: a rating of each response |
| genrm_json | pairwise, arena | ``{"score_1": 4, "score_2": 2, "ranking": 2}``: 1 (A far better) to 6 (B far better) |
| compass_verifier | binary | ``\boxed{A}``, ``Final Judgment: A`` or a bare A (correct), B or C (no valid answer) |
| xverify | binary | ``Correct`` or ``Incorrect``, and nothing else |
| general_verifier | binary | ``Final Decision: Yes`` |

A verdict that a judged text also holds is none, unless the text gains nothing by it: it cannot be told whose it is.
Where the form is a judge's alone, the text is to blame; a box, a letter or a word is an answer as well, and proves
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import islice
from typing import Any

from reward_servers.engines.judging._asks import LETTERS
from reward_servers.engines.judging._ending import Ending, closed_part, read_part, shown_of
from reward_servers.engines.judging._forms import AMBIGUOUS, find_forms
from reward_servers.engines.judging._normal import lies_within, mentioned, normal, without_struck
from reward_servers.engines.judging._objects import check_comparison
from reward_servers.engines.judging._planted import gains_nothing
from reward_servers.engines.judging._reply import Channel, Protocol, Reply, Status
from reward_servers.engines.judging._verdict_suffixes import ends_number, other_scale, takes_back
from reward_servers.engines.text import Marks, every_box

_MANY = 3
"""So many different ratings in boxes are no answer."""


@dataclass(frozen=True, slots=True)
class FoundVerdict:
    """A verdict in a text: where it is, its value, and whether only a judge writes in this form."""

    start: int
    end: int
    value: Any
    own: bool


Finder = Callable[[str, int], Iterator[FoundVerdict]]
"""Finds the verdicts in a text about so many responses."""
_MOST = 512
"""Verdicts that are read in a text: no judge writes so many."""
_LONGEST_REST = 400
_ALSO = r"[^\w.!\n]{0,4}(?:(?:or|and|to|then|rather|no|wait|now|maybe|but)\b[^\w.!\n]{0,4}){0,3}"


def _matches(pattern: str, values: Mapping[str, Any], *, own: bool = True) -> Finder:
    """A finder of a pattern whose group is one of the words; one that another word follows is ambiguous."""
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE)

    def find(text: str, responses: int) -> Iterator[FoundVerdict]:
        for match in compiled.finditer(text):
            yield _settled(text, match.start(), match.end(), match[1], values, own)

    return find


def _settled(text: str, start: int, end: int, word: str, values: Mapping[str, Any], own: bool) -> FoundVerdict:
    """The verdict of a word; ambiguous where another word follows it, or where it is taken back."""
    value = values[word.casefold()]
    second = _following(tuple(values)).match(text, end)
    is_ambiguous = second is not None and values[second[1].casefold()] != value
    is_ambiguous = is_ambiguous or takes_back(_rest_of_line(text, end), value)
    return FoundVerdict(start, end, AMBIGUOUS if is_ambiguous else value, own)


@cache
def _following(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"{_ALSO}({'|'.join(words)})\b(?!')", re.IGNORECASE)


def _rest_of_line(text: str, start: int) -> str:
    return text[start : start + _LONGEST_REST].partition("\n")[0]


_RESULT = r"\[RESULT\]\s*+:?\s*+\(?"
_RESULT_NUMBER = re.compile(_RESULT + r"([1-5])(?:\s*/\s*5\b|\s+out\s+of\s+5\b)?(?![\d/])", re.IGNORECASE)


def _result_rating(text: str, responses: int) -> Iterator[FoundVerdict]:
    for match in _RESULT_NUMBER.finditer(text):
        end = match.end()
        if ends_number(text, end) and not other_scale(text, end, 5):
            value = float(match[1])
            is_ambiguous = takes_back(_rest_of_line(text, end), value)
            yield FoundVerdict(match.start(), end, AMBIGUOUS if is_ambiguous else value, own=True)


_LONGEST_BOX = 256
_RATINGS = re.compile(r"[\d.,;\s]+")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def _boxed(text: str, responses: int) -> Iterator[tuple[int, int, list[float]]]:
    """Where boxes with a rating of each response begin and end, and the ratings."""
    for start, box in every_box(text, _LONGEST_BOX):
        content = text[box.start : box.end]
        if _RATINGS.fullmatch(content) is None:
            continue
        ratings = [float(rating) for rating in _NUMBER.findall(content)]
        rated = len(ratings) == responses and all(1 <= rating <= 10 for rating in ratings)
        if rated and not other_scale(text, box.after, 10):
            yield start, box.after, ratings


def _boxed_rating(text: str, responses: int) -> Iterator[FoundVerdict]:
    for start, end, ratings in _boxed(text, responses):
        yield FoundVerdict(start, end, ratings[0], own=False)


def _boxed_pair(text: str, responses: int) -> Iterator[FoundVerdict]:
    for start, end, (first, second) in _boxed(text, responses):
        yield FoundVerdict(start, end, "tie" if first == second else "AB"[first < second], own=False)


def _boxed_best(text: str, responses: int) -> Iterator[FoundVerdict]:
    """The response with the highest rating; where several have it none is the best."""
    for start, end, ratings in _boxed(text, responses):
        best = [letter for letter, rating in zip(LETTERS, ratings, strict=False) if rating == max(ratings)]
        yield FoundVerdict(start, end, best[0] if len(best) == 1 else AMBIGUOUS, own=False)


_JUDGMENT = re.compile(r"(?:^|\n)[^\w\n]*final\s+judge?ment\s*:\s*\Z", re.IGNORECASE)
_LONGEST_LEAD = 80
_BOXED_LETTER = re.compile(r"\s*(?:\\text\{\s*)?([ABC])\s*\}?\s*", re.IGNORECASE)


def _boxed_letters(text: str, responses: int) -> Iterator[FoundVerdict]:
    """Boxes with A, B or C; one behind "Final Judgment:" is in a form that only a judge writes."""
    for start, box in every_box(text, _LONGEST_BOX):
        letter = _BOXED_LETTER.fullmatch(text, box.start, box.end)
        if letter is not None:
            own = _JUDGMENT.search(text, max(0, start - _LONGEST_LEAD), start) is not None
            yield _settled(text, start, box.after, letter[1], _ABC, own)


def _ranked(of_ranking: Sequence[str]) -> Finder:
    """A finder of objects that rate both responses and rank them from 1 to 6; one that contradicts itself is none."""

    def find(text: str, responses: int) -> Iterator[FoundVerdict]:
        for form in find_forms(text, Protocol.GENRM, ()):
            value: Any = AMBIGUOUS
            if form.value is not AMBIGUOUS and check_comparison(form.value) is Status.OK:
                value = of_ranking[int(form.value["ranking"]) - 1]
            yield FoundVerdict(form.start, form.end, value, own=True)

    return find


def _each(*finders: Finder) -> Finder:
    def find(text: str, responses: int) -> Iterator[FoundVerdict]:
        for finder in finders:
            yield from finder(text, responses)

    return find


_AB = {"a": "A", "b": "B"}
_YES = {"yes": True, "no": False}
_ABC = {"a": True, "b": False, "c": False}
_WORDS = {"correct": True, "incorrect": False}
REPLY_FORMATS: Mapping[str, Mapping[str, Finder]] = {
    "prometheus": {"likert_1_5": _result_rating, "pairwise": _matches(_RESULT + r"([AB])\b", _AB)},
    "skywork_critic": {"pairwise": _matches(r"\[\[\s*([AB])\s*\]\]", _AB)},
    "rm_r1": {"pairwise": _matches(r"<answer>\s*\[\[\s*([AB])\s*\]\]\s*</answer>", _AB)},
    "deepseek_grm": {"likert_1_10": _boxed_rating, "pairwise": _boxed_pair, "best_of": _boxed_best},
    "genrm_json": {"pairwise": _ranked("AAABBB"), "arena": _ranked(("A>>B", "A>B", "A>B", "B>A", "B>A", "B>>A"))},
    "compass_verifier": {
        "binary": _each(
            _matches(r"^[^\w\n]*final\s+judge?ment\s*:\s*([ABC])\b", _ABC),
            _boxed_letters,
            _matches(r"\A\s*([ABC])\s*+(?:\.\s*+)?\Z", _ABC, own=False),
        )
    },
    "xverify": {"binary": _matches(r"\A\W*(correct|incorrect)\W*\Z", _WORDS, own=False)},
    "general_verifier": {"binary": _matches(r"^[^\w\n]*final\s+decision\s*:\s*(yes|no)\b", _YES)},
}
"""The readers by name and protocol."""
_NAMES = {Protocol.BINARY: "binary", Protocol.PAIRWISE: "pairwise", Protocol.ARENA: "arena"}
_plain = partial(normal, boxes=True)


def read_formatted(
    raw: str,
    name: str,
    protocol: Protocol,
    responses: int,
    *,
    finish_reason: str = "stop",
    candidate_texts: Sequence[str] = (),
    marks: Marks = (),
) -> Reply:
    """Read a reply in a model's own form.

    Args:
        raw: The reply as it came.
        name: The form: a key of ``REPLY_FORMATS``.
        protocol: One of its protocols.
        responses: How many responses were judged.
        finish_reason: Why the judge stopped; ``"length"`` means that the reply is cut.
        candidate_texts: The judged texts.
        marks: Pairs of marks around reasoning, in addition to those that are known.

    Returns:
        The status, and the value when the status is ok.

    Raises:
        KeyError: There is no such form, or it has no such protocol.
    """
    find = _finder(name, protocol)
    ending = Ending.of(finish_reason)
    visible_text = shown_of(raw, marks)
    if visible_text is None or ending in (Ending.CUT, Ending.OVERFLOWED):
        return Reply(Status.TRUNCATED)
    text = _plain(without_struck(read_part(visible_text)))
    if ending is Ending.UNKNOWN and text.strip() and not (text := closed_part(text, "")).strip():
        return Reply(Status.TRUNCATED)
    parts = [_verdicts_in(name, protocol, text, responses) for text in candidate_texts]
    ratings = list(islice(find(text, responses), _MOST + 1))
    disputed = [
        rating
        for rating in ratings
        if any(
            (part.floods or rating.value in part.values) and not gains_nothing(protocol, rating.value, place)
            for place, part in enumerate(parts)
        )
    ]
    injected = any(_provoked(parts, ratings))
    if ending is Ending.FILTERED:
        return Reply(Status.REFUSAL, injection_detected=injected)
    if not text.strip():
        return Reply(Status.EMPTY)
    quoted = mentioned(text)
    values = {rating.value for rating in ratings if not lies_within(quoted, rating.start, rating.end)}
    if len(values) != 1 or disputed or injected or AMBIGUOUS in values or len(ratings) > _MOST:
        # One that a judged text gains by and holds as well: whose it is cannot be told.
        status = Status.AMBIGUOUS if values or disputed else Status.PARSE_ERROR
        return Reply(status, None, injected, Channel.UNSIGNED)
    return Reply(Status.OK, values.pop(), channel=Channel.UNSIGNED)


def repeats_formatted(
    raw: str, name: str, protocol: Protocol, responses: int, texts: Sequence[str], marks: Marks = ()
) -> tuple[bool, ...]:
    """For each judged text, whether a reply repeats a verdict that it holds in a form which only a judge writes."""
    ratings = list(islice(_finder(name, protocol)(_plain(read_part(shown_of(raw, marks) or "")), responses), _MOST))
    return _provoked([_verdicts_in(name, protocol, text, responses) for text in texts], ratings)


def holds_formatted(name: str, protocol: Protocol, responses: int, texts: Sequence[str]) -> tuple[bool, ...]:
    """For each judged text, whether it holds a verdict in such a form."""
    return tuple(bool(_verdicts_in(name, protocol, text, responses).own) for text in texts)


def _finder(name: str, protocol: Protocol) -> Finder:
    return REPLY_FORMATS[name][_NAMES.get(protocol, protocol.value)]


@dataclass(frozen=True, slots=True)
class _JudgedForms:
    """What a judged text holds of verdicts.

    Attributes:
        values: Their values.
        own: Values of those in a form which only a judge writes.
        floods: Whether it holds more than are read; then it may hold any.
    """

    values: frozenset[Any]
    own: frozenset[Any]
    floods: bool

    @property
    def listed(self) -> bool:
        return sum(isinstance(value, float) for value in self.values) >= _MANY


def _provoked(parts: Sequence[_JudgedForms], ratings: Sequence[FoundVerdict]) -> tuple[bool, ...]:
    values = {rating.value for rating in ratings}
    return tuple(not values.isdisjoint(part.values if part.listed else part.own) for part in parts)


@lru_cache(maxsize=64)
def _verdicts_in(name: str, protocol: Protocol, text: str, responses: int) -> _JudgedForms:
    """What a judged text holds: in the whole, and in each of its lines."""
    find, plain = _finder(name, protocol), _plain(text)
    ratings = (rating for piece in (plain, *filter(None, plain.split("\n"))) for rating in find(piece, responses))
    first_ratings = list(islice(ratings, _MOST + 1))
    return _JudgedForms(
        frozenset(rating.value for rating in first_ratings),
        frozenset(rating.value for rating in first_ratings if rating.own),
        len(first_ratings) > _MOST,
    )
