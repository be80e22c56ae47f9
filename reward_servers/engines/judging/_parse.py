"""Strict parsing of a judge's reply: a verdict in the protocol's own form, or a status that says why there is none.

A wrong value is worse than none: what is missing can be asked again, a planted or misread score is trained on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reward_servers.engines.judging._clean import clean, comparable, mentioned, plain
from reward_servers.engines.judging._forms import AMBIGUOUS, Form, find_forms, whole_reply
from reward_servers.engines.judging._reply import SCALES, Protocol, Reply, Status
from reward_servers.engines.text import visible

__all__ = ["parse_reply"]

_LONGEST = 50_000
_FINAL = re.compile(
    r"(?:\bfinal(?:\s+(?:verdict|answer|decision|judge?ment))?\s*(?::|is\b)?|\bverdict\s*(?::|is\b))\s*(?:```\w*\s*)?$",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can’t|can\s+not|unable|won't|won’t|will\s+not|not\s+able)\b[^.\n]{0,60}?"
    r"\b(?:evaluat|assess|scor|judg|grad|rat(?:e|ing)\b|assign)",
    re.IGNORECASE,
)
_PLANTABLE = re.compile(
    r"(?:final\s+)?\b(?:score|rating)\b\W{0,3}\s*[:=]\s*[+-]?\d+(?:[.,]\d+)?|\[RESULT\]\s*:?\s*\d+|\bcorrect\s*:\s*(?:yes|no)\b"
    r"|\[\[\s*[^\[\]\n]{1,20}?\s*\]\]",
    re.IGNORECASE,
)


def parse_reply(
    raw: str,
    protocol: Protocol | str,
    *,
    finish_reason: str = "stop",
    candidate_texts: Sequence[str] = (),
    expected_keys: Sequence[str] = (),
    token: str = "",
) -> Reply:
    """Reads a judge's reply.

    Args:
        raw: The reply as it came.
        protocol: The form that was asked for.
        finish_reason: Why the judge stopped; ``"length"`` means that the reply is cut.
        candidate_texts: The judged texts. A verdict that also stands in one of them may have been planted: it is none.
        expected_keys: Ids of the criteria, for ``rubric_json``.
        token: A word that only the judge was told. Verdicts on lines that hold it are the judge's own beyond doubt:
            when there are any, only they count.

    Returns:
        The status, and the value when the status is ok.
    """
    protocol = Protocol(protocol)
    reply = visible(raw[-_LONGEST:])
    shown = reply.text
    if reply.open or finish_reason == "length":
        return Reply(Status.TRUNCATED)
    if not shown.strip():
        return Reply(Status.EMPTY)
    text = clean(shown)
    judged = [comparable(one) for one in candidate_texts]
    forms = find_forms(text, protocol, expected_keys)
    injected = any(_stands_in(one, judged) for one in (*_plantable(text), *(form.text for form in forms)))
    if finish_reason == "content_filter":
        return Reply(Status.REFUSAL, injection_detected=injected)
    if token and token in text:
        signed = _signed(text, token)
        status, value = _decide(signed, find_forms(signed, protocol, expected_keys), protocol, [])
        if status is not Status.PARSE_ERROR:
            return Reply(status, value, injected)
        text = text.replace(token, "")
        forms = find_forms(text, protocol, expected_keys)
    status, value = _decide(text, forms, protocol, judged)
    if status is Status.PARSE_ERROR and _REFUSAL.search(plain(text)):
        status = Status.REFUSAL
    return Reply(status, value, injected)


def _signed(text: str, token: str) -> str:
    """The lines that hold the token, without it."""
    mark = re.compile(rf"\s*[\[(<{{]*{re.escape(token)}[\])>}}]*")
    return "\n".join(mark.sub("", line) for line in text.splitlines() if token in line)


def _plantable(text: str) -> list[str]:
    return [match[0] for match in _PLANTABLE.finditer(plain(text.replace('\\"', '"')))]


def _stands_in(form: str, judged: Sequence[str]) -> bool:
    """Whether a form occurs in a judged text, not as the beginning of a longer number or word."""
    wanted = comparable(form)
    pattern = re.compile(rf"(?<![^\W_]){re.escape(wanted)}(?!\w|[.,]\d)" if wanted[:1].isalnum() else re.escape(wanted))
    return any(pattern.search(one) for one in judged)


def _decide(text: str, forms: Sequence[Form], protocol: Protocol, judged: Sequence[str]) -> tuple[Status, Any]:
    if not forms:
        whole = whole_reply(text, protocol)
        return (Status.PARSE_ERROR, None) if whole is None else _in_range(whole, protocol)
    mentions = mentioned(_without_strings(text, forms))
    own = [
        form
        for form in forms
        if not any(start <= form.start and form.end <= end for start, end in mentions)
        and not _stands_in(form.text, judged)
    ]
    final = [form for form in own if _is_final(text, form)]
    values: list[Any] = []
    for form in final or own:
        if not any(type(form.value) is type(value) and form.value == value for value in values):
            values.append(form.value)
    if not values:
        return Status.PARSE_ERROR, None
    if len(values) > 1 or values[0] is AMBIGUOUS:
        return Status.AMBIGUOUS, None
    return _in_range(values[0], protocol)


def _without_strings(text: str, forms: Sequence[Form]) -> str:
    """The text with the objects that are forms blanked: their own quotation marks quote nothing."""
    for form in forms:
        if text[form.start : form.start + 1] in ("{", "["):
            inner = "".join(mark if mark == "\n" else " " for mark in text[form.start + 1 : form.end])
            text = text[: form.start + 1] + inner + text[form.end :]
    return text


def _is_final(text: str, form: Form) -> bool:
    if form.text.casefold().startswith("final"):
        return True
    return _FINAL.search(plain(text[max(0, form.start - 60) : form.start]).replace("`", "")) is not None


def _in_range(value: Any, protocol: Protocol) -> tuple[Status, Any]:
    if protocol in SCALES:
        low, high = SCALES[protocol]
        if not low <= value <= high:
            return Status.OUT_OF_RANGE, None
    elif protocol is Protocol.GENRM:
        first, second, ranking = value["score_1"], value["score_2"], value["ranking"]
        if not (1 <= first <= 5 and 1 <= second <= 5 and 1 <= ranking <= 6):
            return Status.OUT_OF_RANGE, None
        if (first > second and ranking > 3) or (first < second and ranking <= 3):
            return Status.INCONSISTENT, None
    return Status.OK, value
