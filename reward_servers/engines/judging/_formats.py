r"""Replies of models that were trained as judges and answer in a form of their own, which they cannot sign.

| name | protocol | form |
|---|---|---|
| prometheus | likert_1_5, pairwise | ``[RESULT] 4``, ``[RESULT] A`` |
| skywork_critic | pairwise | ``[[A]]`` |
| rm_r1 | pairwise | ``<answer>[[A]]</answer>`` |
| deepseek_grm | likert_1_10, pairwise | ``\boxed{8}``, ``\boxed{8, 5}``: a rating of each response |
| compass_verifier | binary | ``\boxed{A}``, ``Final Judgment: A`` or a bare A (correct), B or C (no valid answer) |
| xverify | binary | ``Correct`` or ``Incorrect``, and nothing else |
| general_verifier | binary | ``Final Decision: Yes`` |

A verdict that a judged text also holds is none: it cannot be told whose it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from reward_servers.engines.judging._normal import mentioned
from reward_servers.engines.judging._reply import Channel, Protocol, Reply, Status
from reward_servers.engines.text import visible

_LONGEST = 50_000
_EMPHASIS = re.compile(r"\*+|__+|`+")
Finder = Callable[[str, int], Iterator[tuple[int, int, Any]]]
"""Finds the verdicts in a text about so many responses: start, end and value of each."""


def _matches(pattern: str, values: Mapping[str, Any] | Callable[[str], Any]) -> Finder:
    compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE)

    def find(text: str, responses: int) -> Iterator[tuple[int, int, Any]]:
        for match in compiled.finditer(text):
            said = next(group for group in match.groups() if group is not None)
            value = values(said) if callable(values) else values[said.casefold()]
            yield match.start(), match.end(), value

    return find


def _boxed_ratings(text: str, responses: int) -> Iterator[tuple[int, int, Any]]:
    for match in re.finditer(r"\\boxed\{\s*([\d.,;\s]{1,200})\}", text):
        said = re.findall(r"\d+(?:\.\d+)?", match[1])
        ratings = [float(one) for one in said]
        if len(ratings) != responses or not all(1 <= one <= 10 for one in ratings):
            continue
        if responses == 1:
            yield match.start(), match.end(), ratings[0]
        elif responses == 2:
            first, second = ratings
            yield match.start(), match.end(), "tie" if first == second else "A" if first > second else "B"


_AB = {"a": "A", "b": "B"}
_YES = {"yes": True, "no": False}
_ABC = {"a": True, "b": False, "c": False}
_RESULT = r"\[RESULT\]\s*:?\s*\(?"
REPLY_FORMATS: Mapping[str, Mapping[str, Finder]] = {
    "prometheus": {
        "likert_1_5": _matches(_RESULT + r"([1-5])(?:\s*/\s*5)?(?![\d.,/]*\d)", float),
        "pairwise": _matches(_RESULT + r"([AB])\b", _AB),
    },
    "skywork_critic": {"pairwise": _matches(r"\[\[\s*([AB])\s*\]\]", _AB)},
    "rm_r1": {"pairwise": _matches(r"<answer>\s*\[\[\s*([AB])\s*\]\]\s*</answer>", _AB)},
    "deepseek_grm": {"likert_1_10": _boxed_ratings, "pairwise": _boxed_ratings},
    "compass_verifier": {
        "binary": _matches(
            r"\\boxed\{\s*(?:\\text\{)?\s*([ABC])\s*\}|^\W*final\s+judge?ment\s*:\s*([ABC])\b(?!\w)|\A\s*([ABC])\s*\.?\s*\Z",
            _ABC,
        )
    },
    "xverify": {"binary": _matches(r"\A\W*(correct|incorrect)\W*\Z", {"correct": True, "incorrect": False})},
    "general_verifier": {"binary": _matches(r"^\W*final\s+decision\s*:\s*(yes|no)\b", _YES)},
}
"""The readers by name and protocol."""
_NAMES = {Protocol.BINARY: "binary", Protocol.PAIRWISE: "pairwise"}


def read_formatted(
    raw: str,
    name: str,
    protocol: Protocol,
    responses: int,
    *,
    finish_reason: str = "stop",
    candidate_texts: Sequence[str] = (),
) -> Reply:
    """Read a reply in a model's own form.

    Args:
        raw: The reply as it came.
        name: The form: a key of ``REPLY_FORMATS``.
        protocol: One of its protocols.
        responses: How many responses were judged.
        finish_reason: Why the judge stopped; ``"length"`` means that the reply is cut.
        candidate_texts: The judged texts.

    Returns:
        The status, and the value when the status is ok.

    Raises:
        KeyError: There is no such form, or it has no such protocol.
    """
    find = REPLY_FORMATS[name][_NAMES.get(protocol, protocol.value)]
    shown = visible(raw[-_LONGEST:])
    if shown.open or finish_reason == "length":
        return Reply(Status.TRUNCATED)
    text = _plain(shown.text)
    planted = [value for one in candidate_texts for value in _all(find, _plain(one), responses)]
    found = list(find(text, responses))
    injected = any(value in planted for _, _, value in found)
    if finish_reason == "content_filter":
        return Reply(Status.REFUSAL, injection_detected=injected)
    if not text.strip():
        return Reply(Status.EMPTY)
    quoted = mentioned(text)
    values = {
        value
        for start, end, value in found
        if value not in planted and not any(begin <= start and end <= stop for begin, stop in quoted)
    }
    if len(values) != 1 or injected:
        # One of the candidate's own beside it: which of them is the judge's cannot be told.
        return Reply(Status.AMBIGUOUS if values else Status.PARSE_ERROR, None, injected, Channel.UNSIGNED)
    return Reply(Status.OK, values.pop(), channel=Channel.UNSIGNED)


def _all(find: Finder, text: str, responses: int) -> Iterator[Any]:
    """What a judged text holds of verdicts: in the whole, and in each of its lines."""
    for piece in (text, *text.splitlines()):
        yield from (value for _, _, value in find(piece, responses))


def _plain(text: str) -> str:
    return _EMPHASIS.sub("", unicodedata.normalize("NFKC", text))
