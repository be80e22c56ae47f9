"""Long and odd texts, of a judge and of a candidate, are read in a time that grows with their length.

Where a reader took the square of the length, these texts would keep it busy for many minutes.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from reward_servers.engines.judging import (
    REPLY_FORMATS,
    Protocol,
    Status,
    _ending,
    _formats,
    _forms,
    _json,
    _normal,
    _verdict_suffixes,
    parse_reply,
    read_formatted,
)
from reward_servers.engines.judging._normal import mentioned, squeezed
from reward_servers.engines.judging._planted import planted_in
from reward_servers.engines.text import composed
from reward_servers.verifiers._judge_options import PROTOCOLS

_SIZE = 1 << 17
_TOKEN = "0a1b2c3d4e"
_TEXTS = {
    "lines of an article": ("", "the\n", ""),
    "one line of an article": ("", "the ", ""),
    "empty lines": ("", "\n", "x"),
    "empty lines behind a rating": ("[RESULT] 4", "\n", "x"),
    "empty lines behind a score": ("score: 8", "\n", "x"),
    "empty lines behind a letter": ("A", "\n", "x"),
    "empty lines in a box": (r"\boxed{", "\n", "x"),
    "blank lines in a label": ("[[", " \n", "x"),
    "empty lines in an object": ("{", "\n", f'"signature": "{_TOKEN}"}}'),
    "empty lines behind a damaged score": ('{"score": 8, "a": "b"', "\n", "x"),
    "one word": ("", "y", "!"),
    "opening brackets": ("[[{", "{", "!"),
    "round brackets": ("", "<(", "x"),
    "quoted quotation marks": ("{//", '\\"', "}"),
    "opening quotation marks": ("", "“", ""),
    "objects that are none": ("", "{'score'}", ""),
    "empty objects": ("", "{}", ""),
}


def _text(name: str, size: int = _SIZE) -> str:
    begin, unit, end = _TEXTS[name]
    return begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end


@pytest.mark.parametrize("name", _TEXTS)
def test_a_long_text_is_read_whoever_wrote_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ending, "_LONGEST_SHOWN", _SIZE)
    text = _text(name)
    keys = {Protocol.RUBRIC: ("a", "b")}
    for protocol in (Protocol.LIKERT_1_10, Protocol.BINARY, Protocol.RUBRIC):
        told = keys.get(protocol, ())
        read = parse_reply(f"It follows. [{_TOKEN}] {text}", protocol, token=_TOKEN, expected_keys=told)
        assert read.status is not Status.OK
        planted_in((text,), protocol, told)
    for form, protocols in REPLY_FORMATS.items():
        for said in protocols:
            protocol = PROTOCOLS[said] if said in PROTOCOLS else Protocol(said)
            read_formatted(text, form, protocol, 1)


def test_a_verdict_that_is_signed_far_above_makes_what_follows_no_unsigned_one() -> None:
    long = f"Score: 3 [{_TOKEN}]\n" + "It goes on.\n" * 6_000 + "Score: 9\n"
    assert parse_reply(long, Protocol.LIKERT_1_10, token=_TOKEN).status is Status.PARSE_ERROR


def _counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    calls: list[Any] = []
    real: Callable[..., Any] = getattr(module, name)

    def counted(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **named)

    monkeypatch.setattr(module, name, counted)
    return calls


@pytest.mark.parametrize(
    ("unit", "protocol"), [("score: 8\n", Protocol.LIKERT_1_10), ("correct: yes\n", Protocol.BINARY)]
)
def test_of_many_forms_some_are_read_and_the_text_holds_any(
    unit: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _counted(monkeypatch, _forms, "takes_back")
    text = unit * (_SIZE // len(unit))
    assert parse_reply(text, protocol).status is Status.AMBIGUOUS
    assert len(calls) <= 2 * (_forms._MOST_FORMS + 1)
    hidden = f"{text}Score: 9\n"
    for unsigned in ("Score: 9", "Score: 10", "correct: yes", "It is 8."):
        assert parse_reply(unsigned, protocol, token=_TOKEN, candidate_texts=(hidden,)).status is not Status.OK
    signed = parse_reply(f"{unit.strip()} [{_TOKEN}]", protocol, token=_TOKEN, candidate_texts=(text,))
    assert signed.status is Status.OK


def test_of_many_ratings_in_a_models_own_form_some_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch, _formats, "takes_back")
    flood = "[RESULT] 4\n" * (_SIZE // 11)
    read = read_formatted("[RESULT] 5", "prometheus", Protocol.LIKERT_1_5, 1, candidate_texts=(flood,))
    assert (read.status, len(calls)) == (Status.AMBIGUOUS, _formats._MOST + 2)
    assert read_formatted(flood, "prometheus", Protocol.LIKERT_1_5, 1).status is Status.AMBIGUOUS
    least = read_formatted("[RESULT] 1", "prometheus", Protocol.LIKERT_1_5, 1, candidate_texts=(flood,))
    assert (least.status, least.value) == (Status.OK, 1.0)


def test_only_literals_are_read_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch, _json, "_load_python")
    parsed = _counted(monkeypatch, ast, "parse")
    for text in ("{x}", "{'a': " + "1" * _SIZE + "}"):
        with pytest.raises(ValueError, match="not JSON"):
            _json.read_json(text)
    assert (len(calls), len(parsed)) == (2, 0)
    assert _json.read_json("{'a': True}") == {"a": True}


def test_the_end_of_a_quotation_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch, _normal, "_quotation_end")
    assert mentioned("“" * 2_000) == []
    assert {start for _, _, start in calls[1:]} == {2_000}
    assert mentioned('He said "a" and “b”, not "c') == [(8, 11), (16, 19)]
    assert mentioned('"' + "x" * 498 + '"') == [(0, 500)]
    assert mentioned('"' + "x" * 499 + '"') == []


def test_marks_in_a_row_are_bounded_before_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch, unicodedata, "normalize")
    for pair in ("\u0301\u0316", "\u0f73\u0f71", "\uff9e\u0301"):
        text = "a" + pair * (_SIZE // 2)
        _normal.normal(text)
        squeezed(text)
        composed("NFC", f"{text} b")
    assert max(len(one) for _, one in calls) <= 40
    assert composed("NFC", "e\u0301") == "é"


def test_what_follows_a_number_is_looked_at_once() -> None:
    assert not _verdict_suffixes.other_scale("8" + "\n" * _SIZE + "x", 1, 10)
    assert _verdict_suffixes.other_scale("8 points (out of 100)", 1, 10)
    assert _verdict_suffixes.other_scale("8 on a scale of 1 to 5", 1, 10)
