"""Rules over text as papers publish them; the numbers of their authors' code are held in ``tests.golden``."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_servers.engines import published
from reward_servers.engines.published import (
    Item,
    answer_bleu,
    code_block,
    connected_rubrics,
    format_terms,
    grounded_boxes,
    leaks_answer,
    list_hits,
    read_dimensions,
    read_items,
    read_span,
    read_verdict,
    reasoning_tags,
    repeats,
    slots_of,
    temporal_iou,
    typed_accuracy,
    unequal_places,
    without_repeats,
)
from reward_servers.engines.similarity import bleu, error_rate, rouge


def words(text: str) -> int:
    return len(text.split())


def repeats_by_regex(text: str, shortest: int, times: int) -> bool:
    """The definition: a block followed by copies of itself."""
    lengths = range(shortest, len(text) // times + 1)
    return any(re.search(rf"(.{{{n}}})\1{{{times - 1},}}", text, re.DOTALL) for n in lengths)


@settings(max_examples=200, deadline=None)
@given(
    st.text("ab\n", max_size=40), st.text("abc", min_size=1, max_size=9), st.integers(1, 9), st.text("ac", max_size=9)
)
def test_repeats_are_what_the_definition_says(head: str, block: str, number: int, tail: str) -> None:
    text = head + block * number + tail
    assert repeats(text, shortest=4, times=3) == repeats_by_regex(text, 4, 3)


def test_repeats_in_text_that_is_hard_on_a_search() -> None:
    assert not repeats("")
    assert not repeats("ab" * 127)
    assert repeats("ab" * 128)
    assert repeats("\U0001f600x\ud800" * 200)
    near_misses = "".join("a" * 223 + chr(300 + n) for n in range(400))
    assert not repeats(near_misses)


REPLY = "let me wait</think>\n```python\nprint(1)\n```\nDone."


@pytest.mark.parametrize(
    "broken",
    [
        REPLY.replace("</think>", ""),
        REPLY.replace("</think>", "</think> </think>"),
        REPLY.replace("```python", "```"),
        REPLY + "\n```python\nprint(2)\n```",
        REPLY.replace("print(1)", "print('`')"),
        REPLY.replace("\n```\n", "\n"),
        REPLY + "ab" * 128,
    ],
)
def test_a_malformed_reply_loses_most_of_its_reward(broken: str) -> None:
    assert format_terms(REPLY, words).right == 0.0
    assert format_terms(broken, words) == (-0.9, -0.9)


def test_reflection_counts_a_word_that_is_not_overused() -> None:
    once, often = (format_terms("wait " * n + REPLY, words).wrong for n in (1, 9))
    thought = format_terms("well " * 9 + REPLY, words).wrong
    assert once > 0.005
    assert often < thought


def test_the_last_block_is_the_code() -> None:
    assert code_block("```\na\n``` and ```py\nb\n```") == "b"
    assert code_block("no code") is None


def test_outputs_to_exchange_differ_and_are_reproducible() -> None:
    places = unequal_places(["a", "a", "b"], seed=4)
    assert places == unequal_places(["a", "a", "b"], seed=4)
    assert {unequal_places(["a", "a", "b"], seed=seed) for seed in range(20)} == {(0, 2), (1, 2)}
    assert unequal_places(["a", "a "]) is None


def test_a_rubric_counts_only_when_it_leads_back_to_the_answer() -> None:
    rubrics = ["<E1> wrote <E0>", "<E2> taught <E1>", "<E3> met <E4>", "the sky is blue"]
    entities = {f"E{n}": f"name {n}" for n in range(5)}
    score = connected_rubrics(rubrics, entities, [True] * 4)
    assert score.reached == (True, True, False, False)
    assert score.reward == 0.5
    assert connected_rubrics(rubrics, entities, [False, True, True, True]).reward == 0.0
    assert connected_rubrics(rubrics, entities, [True] * 4, connected=False).reward == 1.0
    assert connected_rubrics(rubrics, {**entities, "E1": None}, [True] * 4).reward == 0.0
    assert slots_of("<E1> and <E1> of <E12>") == ("E1", "E12")
    with pytest.raises(ValueError, match="0 judgements for 0 rubrics"):
        connected_rubrics([], {}, [])


def test_items_are_read_through_markup() -> None:
    text = '1. **Heat (1995)**\n- "Up (2009)"\nno year here\n3) Alien (Director\'s Cut) (1979) great'
    assert read_items(text) == [Item("Heat", 1995), Item("Up", 2009), Item("Alien", 1979)]


def test_a_wanted_item_is_used_up_and_the_nearest_year_goes_first() -> None:
    catalogue = [("Up", year) for year in range(2005, 2015)]
    items = [Item("Up", 2009), Item("Up", 2009), Item("Up", 2009), Item("Up", 2010)]
    wanted = [("UP", 2010), ("up", 2008)]
    assert list_hits(items, wanted, catalogue=catalogue, length=5) == [1, 1, 0, 0, 0]
    assert list_hits(items, wanted, catalogue=catalogue, seen_titles=["Up"], length=2) == [0, 0]
    assert list_hits([Item("UP", 2009)], wanted, catalogue=catalogue, length=1) == [0]
    assert list_hits(items, wanted, catalogue=[], length=2) == [0, 0]
    assert list_hits(items, wanted, catalogue=catalogue, length=4, year_tolerance=0) == [0, 0, 0, 1]
    with pytest.raises(ValueError, match="length 0"):
        list_hits(items, wanted, catalogue=catalogue, length=0)


@pytest.mark.parametrize(
    ("hint", "answer", "leaks"),
    [
        ("Consider 2 variables", "2", False),
        ("then x = 2", "2", True),
        (r"so \boxed{2}", "2", True),
        ("It is PARIS of course", "Paris", True),
        ("think of capitals", "Paris", False),
        ("anything", "  ", False),
    ],
)
def test_leaks(hint: str, answer: str, leaks: bool) -> None:
    assert leaks_answer(hint, answer) is leaks


@pytest.mark.parametrize(
    ("reply", "strict", "found"),
    [
        ("<answer>Image 1 is better</answer>", True, 1.0),
        ("<answer>Image 2 is better</answer>", True, 0.0),
        ("<answer>tie</answer>", True, 0.5),
        ("Image 1 is better", True, None),
        ("image 1 IS better", False, 1.0),
        ("<answer>Image 1 is better, or Image 2 is better</answer>", True, None),
        ("", False, None),
    ],
)
def test_verdicts(reply: str, strict: bool, found: float | None) -> None:
    assert read_verdict(reply, strict=strict) == found


def test_dimensions_are_read_from_what_surrounds_them() -> None:
    reply = 'Here: {"winner": "Image 2", "categories": [{"name": "style", "cat_winner": "image 1"}, 7, {"name": ""}]}'
    found = read_dimensions(reply)
    assert found is not None
    assert found.overall == 0.0
    assert found.by_name == {"style": 1.0, "category": 0.5}
    for broken in ("", "{", "[1]", '{"categories": 3}', '{"a": ' * 5000 + "1" + "}" * 5000):
        found = read_dimensions(broken)
        assert found is None or (found.overall, found.by_name) == (0.5, {})


def test_typed_accuracy() -> None:
    def score(answer: str, gold: str, kind: published.AnswerType) -> float:
        return typed_accuracy(f"<answer>{answer}</answer>", gold, kind)

    assert score(" B ", "B", "multiple choice") == 1.0
    assert score("1,000", "1000", "numerical") == 0.0
    assert score("3.141", "3.14", "numerical") == 1.0
    assert score("nan", "3", "regression") == 0.0
    assert score("1e999", "3", "regression") == 0.0
    assert score("9", "10", "regression") == pytest.approx(0.9)
    assert score("0", "0", "regression") == 1.0
    assert score("1", "0", "regression") == 0.0
    assert score("a b d", "a b c d", "OCR") == 0.75
    assert score("the quick fox", "the quick fox", "free-form") == 1.0
    assert typed_accuracy("no tag", "B", "multiple choice") == 0.0
    with pytest.raises(ValueError, match="is not a number"):
        score("3", "three", "numerical")
    with pytest.raises(ValueError, match="no type of answer"):
        score("3", "3", "essay")  # type: ignore[arg-type]


def test_grounding() -> None:
    reply = "<think> boxes 1, 2, 3, 4 and [5,6,7,8] here </think><rethink> so </rethink><answer> 2"
    assert grounded_boxes(reply) == 0.5
    assert grounded_boxes(reply, count=2) == 1.5
    assert grounded_boxes(reply, count=3) == 0.5
    assert grounded_boxes("1, 2, 3, 4") == 0.0
    assert reasoning_tags(reply) == 0.5
    assert reasoning_tags("<think>one</think><rethink></rethink>") == pytest.approx(0.4)
    assert answer_bleu("<answer>Yes!</answer> and more", "yes") == pytest.approx(0.1)
    assert without_repeats("a " * 40, [1] * 40) < 0
    assert without_repeats("short", [1, 2]) == 0.5
    assert without_repeats("a " * 40, [1] * 15) == 0.5, "fewer tokens than two n-grams have nothing to repeat"


def test_similarities() -> None:
    assert bleu(["paris"], ["paris"]) == 1.0
    assert bleu([], ["paris"]) == 0.0
    assert bleu(["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"]) == 1.0
    assert bleu(["a"], ["a", "b"], max_order=1) == pytest.approx(2.718281828**-1)
    assert bleu(["a", "c", "b"], ["a", "b", "c"], max_order=2) == 0.0
    assert bleu(["a", "c", "b"], ["a", "b", "c"], max_order=2, smoothing=1.0) > 0
    assert rouge([], ["a"]) == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    assert rouge(["a", "b", "c"], ["a", "x", "c"])["rougeL"] == pytest.approx(2 / 3)
    assert error_rate(["a"], []) == 1.0


def test_spans_of_time() -> None:
    assert read_span("from 1:30 to 95.5") == (90.0, 95.5)
    assert read_span("1:00:01 2:00:00") == (3601.0, 7200.0)
    assert read_span("3") is None
    assert read_span("3 to 4 to 5") is None
    assert temporal_iou((0, 10), (5, 15)) == pytest.approx(1 / 3)
    assert temporal_iou((0, 1), (2, 3)) == 0.0
    assert temporal_iou((3, 1), (1, 3)) == 0.0
    assert temporal_iou((2, 2), (2, 2)) == 0.0
    with pytest.raises(ValueError, match="reversed"):
        temporal_iou((0, 1), (3, 2))


@pytest.mark.parametrize("hostile", ["<answer>" * 50_000, "<answer>" + " " * 400_000, "{" * 400_000, "(" * 400_000])
def test_hostile_replies_are_read_in_one_pass(hostile: str) -> None:
    assert typed_accuracy(hostile, "1", "numerical") == 0.0
    assert read_verdict(hostile) is None
    assert read_dimensions(hostile) is None
    assert read_span(hostile) is None
    assert read_items(hostile) == []
    assert code_block(hostile) is None


def test_everything_named_is_there() -> None:
    assert all(hasattr(published, name) for name in published.__all__)
