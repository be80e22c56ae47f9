"""Strict parsing of a judge's reply: a verdict in the protocol's own form, or a status that says why there is none.

A wrong value is worse than none: what is missing can be asked again, a planted or misread score is trained on.
A verdict that is signed with the token of the call is the judge's own. Once the token occurs, nothing unsigned counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from reward_servers.engines.judging._ending import Ending, closed_part, cut_in_token, read_part, shown_of
from reward_servers.engines.judging._forms import AMBIGUOUS, Form, find_forms, whole_text
from reward_servers.engines.judging._json import json_spans
from reward_servers.engines.judging._normal import lies_within, mentioned, normal, without_struck
from reward_servers.engines.judging._objects import check_comparison
from reward_servers.engines.judging._planted import Planted, planted_in
from reward_servers.engines.judging._reply import Channel, Protocol, Reply, Status
from reward_servers.engines.judging._verdict_suffixes import ends_sentence, last_sentence, only_supposes, takes_back
from reward_servers.engines.text import Marks

_MOST_SIGNS = 64
_LONGEST_LINE = 400
_LEADS = frozenset(
    (
        *("so", "thus", "hence", "therefore", "then", "finally", "overall", "and", "but", "my", "the", "final"),
        *("verdict", "answer", "judgment", "judgement", "is", "it", "rating", "score", "correct"),
    )
)
"""Words with which a judge begins the line of its own verdict."""
_FINAL = re.compile(
    r"(?:\bfinal(?:\s+(?:verdict|answer|decision|judge?ment|score|rating))?\s*(?::|is\b)?|\bverdict\s*(?::|is\b))\s*(?:json\s*)?$",
    re.IGNORECASE,
)
_BEGINS_FINAL = re.compile(r"[^\w\n]*(?:(?:my|the)\s+)?(?:final\b|verdict\b)", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can’t|can\s+not|unable|won't|won’t|will\s+not|not\s+able|must\s+decline|decline)\b[^.\n]{0,60}?"
    r"\b(?:evaluat|assess|scor|judg|grad|rat(?:e|ing)\b|assign|help|assist|comply|do\s+that)"
    r"|(?:无法|無法|不能|不會|不会)[^。\n]{0,20}(?:评|評|打分|判断|判斷|协助|協助)",
    re.IGNORECASE,
)
_WHOLE_LINE = re.compile(
    r"(?:(?:my|the|final)\s+)*+(?:verdict|answer|judge?ment|decision)\s*(?::|is\b)\s*", re.IGNORECASE
)


def parse_reply(
    raw: str,
    protocol: Protocol | str,
    *,
    finish_reason: str = "stop",
    candidate_texts: Sequence[str] = (),
    expected_keys: Sequence[str] = (),
    token: str = "",
    marks: Marks = (),
) -> Reply:
    """Read a judge's reply.

    Args:
        raw: The reply as it came.
        protocol: The form that was asked for.
        finish_reason: Why the judge stopped; ``"length"`` means that the reply is cut.
        candidate_texts: The judged texts. An unsigned verdict that one of them also holds is none.
        expected_keys: Keys of the object, for ``rubric_json`` and ratings; the offered words or letters, for
            ``grade_word`` and ``best_of``.
        token: A word that only the judge was told. Once it occurs in the visible reply, only what it signs counts: the
            form before it on its line, else the form behind it, or the object that holds it. As long as it does not, a
            reply counts unsigned only where the judged texts do not speak of verdicts and none is repeated.
        marks: Pairs of marks around reasoning, in addition to those that are known.

    Returns:
        The status, and the value when the status is ok.
    """
    protocol = Protocol(protocol)
    ending = Ending.of(finish_reason)
    visible_text = shown_of(raw, marks)
    if visible_text is None or ending in (Ending.CUT, Ending.OVERFLOWED) or cut_in_token(visible_text, token):
        return Reply(Status.TRUNCATED)
    signed = bool(token) and token.casefold() in normal(visible_text).casefold()
    text = normal(without_struck(read_part(visible_text)))
    planted = planted_in(tuple(candidate_texts), protocol, tuple(expected_keys))
    injected = planted.repeated_in(text)
    if ending is Ending.FILTERED:
        return Reply(Status.REFUSAL, injection_detected=injected)
    if not text.strip():
        return Reply(Status.EMPTY)
    channel = Channel.SIGNED if signed else Channel.UNSIGNED if token else Channel.UNPROTECTED
    if ending is Ending.UNKNOWN:
        text = closed_part(text, token)
        if not text.strip():
            return Reply(Status.TRUNCATED, injection_detected=injected)
    if channel is Channel.SIGNED:
        status, value = _signed_verdict(text, token, protocol, expected_keys, planted)
    elif token and injected:
        status, value = Status.PARSE_ERROR, None
    else:
        status, value = _unsigned(text, protocol, expected_keys, planted)
        if token and value is not None and planted.may_hold(value):
            status, value = Status.PARSE_ERROR, None
    if status is Status.PARSE_ERROR and _REFUSAL.search(text):
        status = Status.REFUSAL
    return Reply(status, value, injected, channel)


def repeats_forms(
    raw: str, texts: Sequence[str], protocol: Protocol, keys: Sequence[str], marks: Marks = ()
) -> tuple[bool, ...]:
    """For each judged text, whether a reply repeats a form that it holds: proof that it provoked the reply."""
    visible_text = shown_of(raw, marks)
    return planted_in(tuple(texts), protocol, tuple(keys)).repeated_of(normal(read_part(visible_text or "")))


def _without_fenced(text: str, token: str) -> str:
    """A text without what it repeats between the marks of a fence, nor the marks themselves: they sign nothing."""
    title = r"(?P<ends>END )?(?P<name>(?:RESPONSE|ARGUMENT|PROMPT|REFERENCE)\b(?: [A-Z0-9]{1,2}\b)?)"
    mark = re.compile(rf"[<(\[{{]{{0,4}} ?{re.escape(token)} {title} ?[>)\]}}]{{0,4}}", re.IGNORECASE)
    marks = list(mark.finditer(text))
    if len(marks) > 4 * _MOST_SIGNS:
        # It repeats fences without an end.
        return ""
    parts: list[str] = []
    at = 0
    for number, m in enumerate(marks):
        if m.start() < at:
            continue
        parts += [text[at : m.start()], "\n"]
        name = m["name"].casefold()
        closing = (
            later_mark
            for later_mark in marks[number + 1 :]
            if later_mark["ends"] and later_mark["name"].casefold() == name
        )
        at = (m if m["ends"] else next(closing, m)).end()
    return "".join([*parts, text[at:]])


def _signed_verdict(
    text: str, token: str, protocol: Protocol, keys: Sequence[str], planted: Planted
) -> tuple[Status, Any]:
    """What the token signs."""
    text = _without_fenced(text, token)
    forms = sorted(_signed(text, token, protocol, keys, planted), key=lambda form: form.start)
    if forms and forms[-1].leads:
        # The verdict is asked for on a line of its own; before it, a judge may repeat what it was told to write.
        forms = [form for form in forms if form.leads]
    return _decide(text, forms, protocol)


def _signed(text: str, token: str, protocol: Protocol, keys: Sequence[str], planted: Planted) -> Iterator[Form]:
    """The forms that the token signs."""
    # Inside a longer word it is another one.
    mark = re.compile(rf" ?[\[(<{{]{{0,8}}(?<![^\W_]){re.escape(token)}(?![^\W_])[\])>}}]*", re.IGNORECASE)
    signs = list(mark.finditer(text))
    if len(signs) > _MOST_SIGNS:
        # No judge signs so often.
        return
    spans = list(json_spans(text))
    objects = [span for span in spans if mark.search(text, *span)]
    for start, end in objects:
        inner = re.sub(
            rf'(?:,\s*+)?"[^"]*"\s*:\s*"[^"]*{re.escape(token)}[^"]*"', "", text[start:end], flags=re.IGNORECASE
        )
        yield from (Form(start, end, form.value) for form in find_forms(inner, protocol, keys))
    above = False
    for sign in signs:
        if any(start <= sign.start() < end for start, end in objects):
            continue
        begin, stop = text.rfind("\n", 0, sign.start()) + 1, text.find("\n", sign.end())
        stop = len(text) if stop < 0 else stop
        if text[begin : sign.start()].strip() or text[sign.end() : stop].strip():
            ended = next((span for span in spans if begin <= span[1] <= sign.start()), (0, -1))
            if ended[1] >= 0 and not text[ended[1] : sign.start()].strip(" .;,"):
                forms = find_forms(text[slice(*ended)], protocol, keys)
                before = mark.sub("", text[begin : max(begin, ended[0])])
                for form in forms:
                    if form.end == ended[1] - ended[0]:
                        echoed = _echoes(before, text[slice(*ended)], form.value, planted)
                        yield Form(*ended, AMBIGUOUS if echoed else form.value)
            else:
                yield from _signed_by(text, mark, begin, sign, stop, protocol, keys, planted)
        elif not above:
            # What stands between two tokens that stand alone is quoted between them.
            yield from _signed_above(text, begin, protocol, keys, planted)
            above = True


def _signed_by(
    text: str,
    mark: re.Pattern[str],
    begin: int,
    sign: re.Match[str],
    stop: int,
    protocol: Protocol,
    keys: Sequence[str],
    planted: Planted,
) -> Iterator[Form]:
    """The form that one token signs, on the line from ``begin`` to ``stop``."""
    last = max((mark_match.end() for mark_match in mark.finditer(text, begin, sign.start())), default=begin)
    first = next((mark_match.start() for mark_match in mark.finditer(text, sign.end(), stop)), stop)
    before, after = text[last : sign.start()], text[sign.end() : first]
    for part, place, nearest in ((before, last, -1), (after, sign.end(), 0)):
        cut = len(part) - len(_unquoted(part))
        forms = _own(part[cut:], find_forms(part[cut:], protocol, keys, anywhere=True))
        if forms:
            form = forms[nearest]
            literal = part[cut + form.start : cut + form.end]
            # A form in the middle of a line begins with what ends the sentence before it.
            at = place + cut + form.start + len(literal) - len(literal.lstrip(" .;:,!?)]>#–—-"))
            leads = not mark.sub("", text[begin:at]).strip(" >#-*")
            fenced = last > begin if nearest else first < stop
            value = form.value
            # Between two tokens stands what a judge quotes between them; behind one, what it takes back or supposes.
            supposed = only_supposes(_spoken(text[begin:at]), after if nearest else "")
            taken_back = nearest and takes_back(after, value)
            rivals = forms[:-1] if nearest else forms[1:]
            echoed = _echoes(mark.sub("", text[begin:at]), text[at : place + cut + form.end], value, planted)
            if supposed or taken_back or echoed or (fenced and not leads) or _disagree(part[cut:], form, rivals):
                value = AMBIGUOUS
            leads = leads and not supposed
            yield Form(at, place + cut + form.end, value, leads)
            return
    line_value = _whole_line(f"{before.strip(' >#-')} {after.strip()}".strip(), protocol, keys)
    if line_value is not None and last == begin:
        yield Form(begin, sign.start(), line_value, leads=True)


def _echoes(before: str, form: str, value: Any, planted: Planted) -> bool:
    """Whether a form on a signed line is what a judged text holds: with the word before it, or told in a sentence."""
    words = re.findall(r"\w+", before)
    if all(word.casefold() in _LEADS for word in words):
        return False
    words_before = [
        word for word in re.findall(r"\w+", last_sentence(_spoken(before))) if word.casefold() not in _LEADS
    ]
    return planted.quoted(words[-1] + form, value) or (bool(words_before) and value in planted)


def _disagree(part: str, form: Form, others: Sequence[Form]) -> bool:
    """Whether a form that is not called final has another one, with another value, in its sentence."""
    if _is_final(part, form):
        return False
    spans = (
        sorted((form, other_form), key=lambda f: f.start) for other_form in others if other_form.value != form.value
    )
    return any(not ends_sentence(part, first.end, two.start) for first, two in spans)


def _spoken(text: str) -> str:
    """A text without what it only mentions."""
    parts, at = [], 0
    for start, end in mentioned(text):
        parts.append(text[at:start])
        at = end
    return "".join([*parts, text[at:]])


def _unquoted(part: str) -> str:
    """What stands before or behind a token, without a mark that quotes the token too."""
    part = part.lstrip(" \t>#•*-")
    opening = part[:1]
    return part[1:] if opening and opening in "\"'“‘«„" and not any(mark in part[1:] for mark in '"”’»“') else part


def _signed_above(text: str, begin: int, protocol: Protocol, keys: Sequence[str], planted: Planted) -> Iterator[Form]:
    """The verdict on the line above a token that stands alone; the judge may be quoting, so it must not be planted."""
    stop = len(text[:begin].rstrip())
    start = text.rfind("\n", 0, stop) + 1
    line = text[start:stop]
    line_value = _whole_line(line.strip(" >#-"), protocol, keys)
    if line_value is not None and not planted.holds_whole(line_value):
        yield Form(start, stop, line_value)
        return
    for form in _own(line, find_forms(line, protocol, keys)):
        if form.value not in planted:
            yield Form(start + form.start, start + form.end, form.value)


def _whole_line(line: str, protocol: Protocol, keys: Sequence[str]) -> Any:
    """The value of a line that is nothing but a verdict and what announces it."""
    return whole_text(_WHOLE_LINE.sub("", line, count=1), protocol, keys) if len(line) <= _LONGEST_LINE else None


def _own(text: str, forms: Sequence[Form]) -> list[Form]:
    """The forms that are not only mentioned: that are in no quotation and in no block quote."""
    mentions = mentioned(_without_objects(text, forms))
    return [form for form in forms if not lies_within(mentions, form.start, form.end)]


def _unsigned(text: str, protocol: Protocol, keys: Sequence[str], planted: Planted) -> tuple[Status, Any]:
    forms = find_forms(text, protocol, keys)
    if not forms:
        value = whole_text(text, protocol, keys)
        if value is None or planted.holds_whole(value):
            return Status.PARSE_ERROR, None
        return _in_range(value, protocol)
    return _decide(text, [form for form in _own(text, forms) if form.value not in planted], protocol)


def _decide(text: str, forms: Sequence[Form], protocol: Protocol) -> tuple[Status, Any]:
    """One value from forms: they agree, or what is called final does."""
    final = [form for form in forms if _is_final(text, form)]
    values: list[Any] = []
    for form in final or forms:
        if not any(type(form.value) is type(value) and form.value == value for value in values):
            values.append(form.value)
        if len(values) > 1:
            break
    if not values:
        return Status.PARSE_ERROR, None
    if len(values) > 1 or values[0] is AMBIGUOUS:
        return Status.AMBIGUOUS, None
    return _in_range(values[0], protocol)


def _without_objects(text: str, forms: Sequence[Form]) -> str:
    """The text with the objects that are forms blanked: their own quotation marks quote nothing."""
    for form in forms:
        if text[form.start : form.start + 1] in ("{", "[") and not text.startswith("[[", form.start):
            inner = "".join(mark if mark == "\n" else " " for mark in text[form.start + 1 : form.end])
            text = text[: form.start + 1] + inner + text[form.end :]
    return text


def _is_final(text: str, form: Form) -> bool:
    if _BEGINS_FINAL.match(text, form.start, form.end):
        return True
    return _FINAL.search(text[max(0, form.start - 60) : form.start]) is not None


def _in_range(value: Any, protocol: Protocol) -> tuple[Status, Any]:
    if protocol.scale is not None:
        low, high = protocol.scale
        if not all(low <= number <= high for number in (value.values() if protocol.keyed else (value,))):
            return Status.OUT_OF_RANGE, None
    elif protocol is Protocol.GENRM:
        status = check_comparison(value)
        return status, value if status is Status.OK else None
    return Status.OK, value
