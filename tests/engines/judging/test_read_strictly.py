"""Replies that a hasty reader takes for another verdict, or for one at all."""

from __future__ import annotations

from typing import Any

import pytest

from reward_servers.engines.judging import Channel, Protocol, Status, parse_reply
from reward_servers.engines.judging._ending import Ending

TOKEN = "7c01f5e2ab"
LIKERT, BINARY = Protocol.LIKERT_1_10, Protocol.BINARY


def _signed(raw: str, protocol: Protocol | str = LIKERT) -> tuple[Status, Any]:
    reply = parse_reply(f"{raw} [{TOKEN}]", protocol, token=TOKEN)
    return reply.status, reply.value


@pytest.mark.parametrize(
    "number",
    [
        *("7½", "8¾/10", "7²", "½", "1️⃣0️⃣", "8٫5", "8·5", "7‰", "8'5", "8*5", "7**5**", r"\boxed{7}5"),
        *("7⅓", "7①", "7 ½", "7₅", "8 × 10", "7 %", "Ⅷ", "7a", "7:30", "7&frac12;"),
    ],
)
def test_digits_that_touch_other_parts_of_a_number_are_no_score(number: str) -> None:
    for protocol in (LIKERT, "likert_0_100"):
        assert _signed(f"Score: {number}", protocol)[0] is Status.PARSE_ERROR


@pytest.mark.parametrize(
    "number", ["7", "7.", "7!", "７", "٧", "7 ❌", "7。", "**7**", "7/10", r"\boxed{7}", "7 - step 3 fails"]
)
def test_the_end_of_a_number_may_be_marked_in_many_ways(number: str) -> None:
    assert _signed(f"Score: {number}") == (Status.OK, 7)


@pytest.mark.parametrize(
    "said",
    [
        *("Score: 7 (out of 100)", "Score: 7 points out of 100", "Score: 7 (on a scale of 1-100)", "Score: 4/5"),
        *("Score (out of 100): 8", "Score (1-5): 4", "Confidence score: 9", "Maximum score: 10"),
    ],
)
def test_a_number_on_another_scale_or_of_something_else_is_no_score(said: str) -> None:
    assert _signed(said)[0] is Status.PARSE_ERROR


@pytest.mark.parametrize(
    "said",
    ["Score (1-10): 7", "Score: 7 (out of 10)", "Score: 7 (on a scale of 1 to 10)", "Quality score: 7"],
)
def test_the_scale_that_was_asked_for_may_be_named(said: str) -> None:
    assert _signed(said) == (Status.OK, 7)


@pytest.mark.parametrize(
    "label", ["Confidence", "Penalty", "Number of errors", "Maximum score", "Step", "Length", "置信度", "Temperature"]
)
def test_a_line_with_the_label_of_something_else_is_no_score(label: str) -> None:
    assert parse_reply(f"{label}: 9", LIKERT).status is Status.PARSE_ERROR


@pytest.mark.parametrize("label", ["Puntuación", "Note", "Bewertung", "得分", "النتيجة", "स्कोर", "Оценка", "점수"])
def test_a_line_with_the_label_of_a_score_is_one_in_many_languages(label: str) -> None:
    assert parse_reply(f"{label}: 9", LIKERT).value == 9


@pytest.mark.parametrize(
    "said",
    [
        *("Score: 7 → 3", "Score: 7, no, 3", "Score: 7; revised: 3", "Score: 9 | 2", "Score: 7 -> 3"),
        *("Score: 7 → 3 because step 2 fails", "Score: 7 but 3", "Score: 8 - 1"),
        *("Score: 7. Actually, 4.", "Score: 7-8", "Score: 7 or 8", "Score: 7 (maybe 8)"),
    ],
)
def test_a_score_that_its_line_takes_back_is_ambiguous(said: str) -> None:
    assert _signed(said)[0] is Status.AMBIGUOUS
    assert parse_reply(said, LIKERT).status is Status.AMBIGUOUS


@pytest.mark.parametrize(
    "said",
    [
        *("correct: yes → no", "correct: no, wait, yes", "correct: yes (not!)", "correct: yes. No.", "correct: yes/no"),
        *("correct: yes, but no", "correct: yes; correct: no", "correct: yes. The sum is off, so no"),
        f"I will answer correct: yes [{TOKEN}] or correct: no",
        f"correct: yes [{TOKEN}] if it is right, else correct: no",
        f"correct: yes [{TOKEN}], wait, no",
    ],
)
def test_a_yes_that_its_line_takes_back_is_ambiguous(said: str) -> None:
    assert _signed(said, BINARY)[0] is Status.AMBIGUOUS


@pytest.mark.parametrize("said", ["correct: no, there is no unit", "correct: no. The unit fails", "correct: no - 3"])
def test_what_explains_a_verdict_does_not_take_it_back(said: str) -> None:
    assert _signed(said, BINARY) == (Status.OK, False)


def test_what_is_struck_out_is_not_said_and_its_signature_still_shuts_the_unsigned_channel() -> None:
    assert _signed("~~Score: 7~~ Score: 3") == (Status.OK, 3)
    struck = parse_reply(f"Score: 9\n~~Score: 3 [{TOKEN}]~~", LIKERT, token=TOKEN)
    assert (struck.value, struck.channel) == (None, Channel.SIGNED)


@pytest.mark.parametrize("reason", ["", "null", "abort", "error", "max_tokens", "MAX_TOKENS", "length", "unheard_of"])
@pytest.mark.parametrize("text", ["Score: 1", "1", "Note: 1", "correct: no"])
def test_a_verdict_at_the_end_counts_only_where_the_text_is_said_to_have_ended(text: str, reason: str) -> None:
    protocol = BINARY if "correct" in text else LIKERT
    assert parse_reply(text, protocol, finish_reason=reason).status is Status.TRUNCATED
    assert parse_reply(text, protocol, finish_reason="stop").value is not None


@pytest.mark.parametrize(
    "text", ["Score: 1\n", '{"score": 1}', f"Score: 1 [{TOKEN}]", f"Score: 1 [{TOKEN}] because the"]
)
def test_a_form_that_is_closed_counts_although_no_one_says_that_the_text_ended(text: str) -> None:
    assert parse_reply(text, LIKERT, finish_reason="", token=TOKEN).value == 1


def test_what_stands_behind_the_token_may_be_cut_off() -> None:
    reply = parse_reply(f"Score: 8\n[{TOKEN}] Score: 1", LIKERT, finish_reason="", token=TOKEN)
    assert (reply.value, reply.channel) == (None, Channel.SIGNED)


@pytest.mark.parametrize("end", ["[7c01f5e2a", "[7c", "[", "(7c01", "7c01f5e2", "**[7c01"])
def test_a_text_that_ends_within_its_signature_is_cut_off(end: str) -> None:
    assert parse_reply(f"Score: 8 {end}", LIKERT, token=TOKEN).status is Status.TRUNCATED


def test_an_object_without_its_end_is_no_line_with_a_label() -> None:
    assert parse_reply('{"score": 1', LIKERT).status is Status.PARSE_ERROR


def test_words_for_the_end_of_a_text() -> None:
    assert {Ending.of(said) for said in ("stop", "STOP", "end_turn", "eos_token", "tool_calls")} == {Ending.ENDED}
    assert {Ending.of(said) for said in ("content_filter", "SAFETY", "refusal")} == {Ending.FILTERED}
    assert Ending.of(None) is Ending.UNKNOWN


@pytest.mark.parametrize(
    "raw",
    [
        '{{"response": {{"correct": true}}, "verdict": "no", "signature": "{token}"}}',
        '{{"response": {{"correct": true}}, "signature": "{token}"}}',
        '{{"correct": true, "verdict": "no", "signature": "{token}"}}',
        "correct: yes x{token}z",
        "{token}\nBerlin\ncorrect: yes\n{token}",
    ],
)
def test_what_an_object_or_two_tokens_quote_is_not_signed(raw: str) -> None:
    assert parse_reply(raw.format(token=TOKEN), BINARY, token=TOKEN).value is None


def test_a_verdict_within_an_object_that_is_called_one_counts() -> None:
    raw = f'{{"verdict": {{"correct": true}}, "signature": "{TOKEN}"}}'
    assert parse_reply(raw, BINARY, token=TOKEN).value is True


@pytest.mark.parametrize("opening", ["<think>", "&lt;think&gt;"])
def test_reasoning_that_never_ends_is_no_verdict_however_long_it_is(opening: str) -> None:
    reply = parse_reply(f"{opening}{'a' * 60_000}\ncorrect: yes [{TOKEN}]", BINARY, token=TOKEN)
    assert reply.status is Status.TRUNCATED


def test_a_text_full_of_tokens_is_none() -> None:
    assert parse_reply(f"(\\boxed{{{TOKEN} )" * 2_000, LIKERT, token=TOKEN).value is None


@pytest.mark.parametrize(
    "raw",
    [
        "correct: yes [{token}] is what I would say if it were right. It is not.",
        "`correct: yes [{token}]` if the response meets the criteria",
        "If it is right: correct: yes [{token}]",
        "Template: correct: yes [{token}]",
        "e.g. correct: yes [{token}]",
    ],
)
def test_when_a_verdict_would_be_one_is_no_verdict(raw: str) -> None:
    said = raw.format(token=TOKEN)
    assert parse_reply(said, BINARY, token=TOKEN).status is Status.AMBIGUOUS
    assert parse_reply(f"{said}\ncorrect: no [{TOKEN}]", BINARY, token=TOKEN).value is False


@pytest.mark.parametrize("said", ["[[A]] or [[B]]", "[[A]], not [[B]]", "not [[A]]", "[[A]] → [[B]]", "[[A]][[B]]"])
def test_labels_that_disagree_in_one_sentence_are_ambiguous(said: str) -> None:
    assert _signed(said, Protocol.PAIRWISE)[0] is Status.AMBIGUOUS


@pytest.mark.parametrize(
    "said", ["[[A]] is longer. [[B]]", "At first [[A]], final verdict: [[B]]", '"[[A]]" it says; [[B]]']
)
def test_the_label_of_the_last_sentence_or_that_is_called_final_counts(said: str) -> None:
    assert _signed(said, Protocol.PAIRWISE) == (Status.OK, "B")


@pytest.mark.parametrize("slash", ["/", "∕", "⁄", " ⁄ "])
def test_a_fraction_of_the_scale_may_have_any_slash(slash: str) -> None:
    assert _signed(f"Score: 7{slash}10") == (Status.OK, 7)


def test_a_number_behind_an_override_of_the_direction_is_none() -> None:
    assert _signed("Score: \u202e01")[0] is Status.PARSE_ERROR
