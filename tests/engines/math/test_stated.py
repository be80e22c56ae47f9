"""What counts as stated where nothing marks an answer, and what never does."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers.engines.math import DEFAULT, PROFILES, Outcome, extract, judge
from reward_servers.engines.math.extraction import retraction

SETTINGS = settings(max_examples=150, deadline=None)
MANY = [
    "{a} {b} {c}",
    "{a}, {b}, {c}",
    "{a}\n{b}\n{c}",
    "- {a}\n- {b}\n- {c}",
    "1. {a}\n2. {b}\n3. {c}",
    "| {a} | {b} | {c} |",
    "**{a}**, **{b}** and **{c}**",
    "We find **{a}** here.\n\nAnd then **{b}**",
    "It is {a} or {b}.",
    "It could be {a}, {b} or {c}.",
    "x is {a} and y is {b}.",
    "The values are {a}, {b} and {c}.",
    "$x = {a}$, $y = {b}$",
    "Is it {a}? Is it {b}?",
    "The first number is {a}. The second number is {b}.",
    "The answer is {a} or {b}.",
    "The answer is {a}, {b}.",
    "Here $x = {a}$ and $y = {b}$.",
    "\\boxed{{{a}}} or \\boxed{{{b}}}",
    "\\boxed{{{a}, {b}}}",
    "<answer>{a} {b}</answer>",
    "Not sure: {a}? {b}?",
    "答案是 {a} 或 {b}。",
    "die Antwort ist {a} oder {b}.",
]
ONE = [
    "{a}",
    "${a}$",
    "x = {a}",
    "**{a}**",
    "$$x = {a}$$",
    "It took a while.\n\n**{a}**",
    "It took a while. So the result is **{a}**.",
    "the result is {a} apples",
    "It took a while. Therefore, the total number is {a}.",
    "It took a while. Hence $x = {a}$.",
    "答案是{a}",
    "La respuesta es {a}.",
]


@SETTINGS
@given(st.lists(st.integers(2, 10**6), min_size=3, max_size=3, unique=True), st.sampled_from(MANY))
def test_a_response_of_many_values_is_never_picked_from(values: list[int], shape: str) -> None:
    response = shape.format(a=values[0], b=values[1], c=values[2])
    for value in values:
        assert not judge(response, str(value)).correct, (response, value)


AMBIGUOUS = [
    "We find **{a}** here.\n\nAnd then **{b}**",
    "Here the width is {a} and the height is {b}.",
    "The first number is {a}. The second number is {b}.",
    "So the result may be {a}. It has {b} digits or {c}?",
]


def unsettled() -> set[str]:
    """The ambiguous shapes that come out as something else than no answer."""
    found = {shape: judge(shape.format(a=17, b=23, c=31), "23") for shape in AMBIGUOUS}
    return {shape for shape, judgement in found.items() if judgement.outcome is not Outcome.NO_ANSWER}


def test_what_is_ambiguous_is_no_answer() -> None:
    assert not unsettled()


@pytest.mark.parametrize(
    ("rule", "mutant", "shape"),
    [
        ("reward_servers.engines.math.extraction.stated._folded", lambda text: "", AMBIGUOUS[0]),
        ("reward_servers.engines.math.extraction.sentences._STATEMENTS", re.compile("(?!)"), AMBIGUOUS[1]),
        ("reward_servers.engines.math.extraction.stated._is_parallel", lambda *_: False, AMBIGUOUS[2]),
    ],
)
def test_without_its_rule_an_ambiguous_response_would_be_picked_from(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: object, shape: str
) -> None:
    """The tests above can fail: each rule is all that keeps its shape from being read."""
    monkeypatch.setattr(rule, mutant)
    assert shape in unsettled()
    assert judge(shape.format(a=17, b=23, c=31), "23").correct


@SETTINGS
@given(
    st.one_of(
        [
            st.from_regex(pattern)
            for pattern in (
                retraction._CALLED_WRONG,
                retraction._ADMITTED,
                retraction._NEW_VALUE,
                retraction._INSTEAD,
                retraction._CORRECTION,
            )
        ]
    )
)
def test_the_quick_look_at_what_follows_misses_no_retraction(text: str) -> None:
    assert retraction._may_doubt(text)


@SETTINGS
@given(st.one_of([st.from_regex(pattern) for pattern in (retraction._MENTIONED_BEFORE, retraction._NOT_BEFORE)]))
def test_the_quick_look_at_the_words_before_misses_no_mention(text: str) -> None:
    words = text.rstrip(retraction._TAIL)
    assert words[-1:] not in retraction._NO_WORD
    assert retraction._may_end_mention(words)


@SETTINGS
@given(st.integers(0, 10**9), st.integers(1, 9), st.sampled_from(ONE))
def test_one_value_is_read_in_every_dress(value: int, other: int, shape: str) -> None:
    response = shape.format(a=value)
    assert judge(response, str(value)).correct, response
    assert judge(response, str(value + other)).outcome is Outcome.INCORRECT


@pytest.mark.parametrize("shape", ONE[:-2])
def test_strict_wants_a_mark(shape: str) -> None:
    assert extract(shape.format(a=42), PROFILES["strict"]).text is None
    assert extract(shape.format(a=42), DEFAULT).text is not None


@SETTINGS
@given(st.text("ab .*$\\n=0123456789?", max_size=120))
def test_what_is_stated_stands_in_the_response(response: str) -> None:
    found = extract(response, DEFAULT)
    if found.text is not None and found.rule in ("alone", "emphasis", "sentence"):
        assert response[found.start : found.end] == found.text


@pytest.mark.parametrize(
    "ending", ["so the total is 42", "so we get\n\n$$x = 42", "The total is 42,", "The total is 42:"]
)
def test_a_long_response_that_breaks_off_states_nothing(ending: str) -> None:
    response = "We work through the statement step by step and note all that we meet on the way. " * 4 + ending
    assert judge(response, "42").outcome is Outcome.NO_ANSWER
