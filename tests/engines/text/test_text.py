"""Visible text, tags, boxes, fences and forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.text import Form, boxed, check_tags, composed, fenced, stated_choice, tagged


def test_boxes_tags_and_fences() -> None:
    assert boxed(r"\boxed{\frac{1}{2}} \boxed{\{x\}} \fbox{y} \boxed 3 \boxedx{z}") == [
        r"\frac{1}{2}",
        r"\{x\}",
        "y",
        "3",
    ]
    assert boxed(r"\boxed{\boxed{1}} \boxed{z") == [r"\boxed{1}", None]
    assert tagged("<a>1</a><a>2</a><a>3", "a") == ["1", "2"]
    assert fenced("```py\na\n```\n~~~\n```\nb\n~~~\n```\nopen") == ["a\n", "```\nb\n"]
    assert check_tags("<a>1</a> <b>2</b>", ["a", "b"]) == dict.fromkeys(("present", "once", "order", "only"), True)


@given(st.text(max_size=80))
def test_a_form_is_idempotent(text: str) -> None:
    for form in (Form(), Form(whitespace="remove", punctuation=False), Form(case=True, compatibility=True)):
        once = form.of(text)
        assert form.of(once) == once


@given(st.text(alphabet=st.sampled_from(list("ABCabc answeris:=.,()[]{}\\boxed<>/\n*")), max_size=120))
def test_a_stated_choice_is_one_of_those_offered(text: str) -> None:
    found = stated_choice(text, {"A": "cab", "B": "", "C": "boa"})
    assert (found.label is None) == (found.status != "stated")
    assert found.label in (None, "A", "B", "C")


@pytest.mark.parametrize("around", ["", "a" * 40, "\ud800", "“", "\U0001f600"])
def test_marks_beyond_what_a_letter_can_have_are_dropped_wherever_they_stand(around: str) -> None:
    """Thirty marks stay, of a letter in ASCII or in any other text, also beside halves of characters."""
    marks = "\u0315" * 30
    assert composed("NFC", f"{around}x{marks}\u0315\u0315y{around}") == f"{around}x{marks}y{around}"
    assert composed("NFC", f"{around}x{marks}y{marks}{around}") == f"{around}x{marks}y{marks}{around}"
