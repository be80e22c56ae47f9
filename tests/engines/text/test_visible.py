"""The visible text: what every verifier reads, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.text import Marks, visible
from reward_servers.engines.text._reasoning import Token, _scanner, tokens_of

FORMATS = [
    *[
        (f"<{name}>", f"</{name}>")
        for name in (
            "think",
            "thinking",
            "thought",
            "thoughts",
            "reasoning",
            "analysis",
            "scratchpad",
            "reflection",
            "seed:think",
            "longcat_think",
            "THINK",
            "Reasoning",
        )
    ],
    ("[THINK]", "[/THINK]"),
    ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<think >", "</ think>"),
    ('<reasoning effort="high">', "</reasoning>"),
    ("<|channel|>analysis<|message|>", "<|end|>"),
    ("<|channel|>commentary to=functions.f <|constrain|>json<|message|>", "<|call|>"),
]
HARMONY = "<|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(("opening", "closing"), FORMATS)
def test_every_format_hides_what_it_encloses(opening: str, closing: str) -> None:
    assert visible(f"{opening}a{closing}b").text == "b"
    assert visible(f"x {opening}a{opening}b{closing}c").text in ("x ", "x c")
    cut = visible(f"x {opening}so \\boxed{{1}}")
    assert (cut.text, cut.open, cut.closed) == ("x ", True, False)


@pytest.mark.parametrize(("opening", "closing"), [pair for pair in FORMATS if "channel" not in pair[0]])
def test_every_format_nests_and_ends_what_began_in_the_prompt(opening: str, closing: str) -> None:
    assert visible(f"{opening}a{opening}b{closing}c{closing}d").text == "d"
    assert visible(f"{opening}a{opening}b{closing}c").text == ""
    assert visible(f"{opening}\n{opening}a{closing}b").text == "b", "the template's mark, repeated by the model"
    before = visible(f"a{closing}b")
    assert (before.text, before.open, before.closed) == ("b", False, True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain < text, [1] and a -> b", "plain < text, [1] and a -> b"),
        ("<thinker>a</thinker>", "<thinker>a</thinker>"),
        ("\\boxed{2}<!-- \\boxed{1} -->", "\\boxed{2}"),
        ("\\boxed{2}<!-- \\boxed{1}", "\\boxed{2}"),
        ("a <!-- <think> --> b", "a  b"),
        ("<think>a <!-- b</think>c", "c"),
        ("a <!-- in reasoning that the prompt began</think>b", "b"),
        ("<think>a</think>b <!-- </think> --> c", "b  c"),
        ("<think>the tag <analysis> is one</think>b", "b"),
        ("<think>a</analysis>b", ""),
        ("<think>a</thinking>b", "b"),
        ("<think/>a", "a"),
        ("<think>a</think>b<think>c", "b"),
        ("a<think>b</think>c</think>d", "d"),
        ("3<think>x</think>4", "3 4"),
        ("<th<think>x</think>ink>a", "<th ink>a"),
        ("Use `<think>` for it.", "Use `<think>` for it."),
        ("```python\nprint('<think>')\n```\nrest", "```python\nprint('<think>')\n```\nrest"),
        ("```\n<!-- a -->\n```", "```\n<!-- a -->\n```"),
        ("<answer>```\n<think>\n```</answer>", "<answer>```\n<think>\n```</answer>"),
        ("```\n<think>\nnever closed", "```\n"),
        ("<think>```\ndraft</think>a<think>b```\n</think>c", "a c"),
        ("draft\n```py\nx = 1\n</think>\n```py\ny = 2\n```", "\n```py\ny = 2\n```"),
        ("```py\nend = '</think>'\n```", "```py\nend = '</think>'\n```"),
        ("```\n<think>\n</think>\n```\n2", "```\n<think>\n</think>\n```\n2"),
        (f"<|channel|>analysis<|message|>a<|end|>{HARMONY}b<|return|>", "b"),
        (f"a <!-- of the prompt's channel<|end|>{HARMONY}b", "b"),
        (f"{HARMONY}a<|end|>{HARMONY}b", "b"),
        ("<|channel|>analysis", ""),
        ("<|start|>assistant<|message|>a<|end|>", "a"),
        ("", ""),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text).text == shown


def test_a_caller_adds_marks_of_its_own() -> None:
    assert visible("<plan>a</plan>b").text == "<plan>a</plan>b"
    marks = [("<plan>", "</plan>"), ("Thoughts: ", "Answer: ")]
    assert visible("<PLAN>a</plan>b", marks).text == "b"
    assert visible("Thoughts: hm\nANSWER: 4", marks).text == "4"
    assert visible("<plan>a", marks).open
    assert visible("\u212aa</k>b", [("ka", "</k>")]).text == "b", "case is that of Unicode, the Kelvin sign's too"


_PIECES = st.sampled_from(
    [mark for pair in FORMATS for mark in pair]
    + [
        HARMONY,
        "<!--",
        "-->",
        "`",
        "```\n",
        "\n```python\n",
        "~~~\n",
        "\n",
        " ",
        "a",
        "\\boxed{1}",
        "<",
        "[",
        "</b>",
        "3",
    ]
)
_RESPONSES = st.lists(_PIECES, max_size=14).map("".join)


_CASES = st.sampled_from([str, str.upper, str.swapcase, lambda s: s.replace("k", "\u212a").replace("s", "\u017f")])
_OWN_MARKS = st.sampled_from(
    [(), (("~~skip", "skip~~"),), (("Über", "Ende"),), (("{{K", "}}s"),), (("¡straße", "ß!"),)]
)


@given(_RESPONSES, _CASES, _OWN_MARKS, st.data())
def test_the_fast_test_is_implied_by_the_rule(
    pieces: str, case: Callable[[str], str], marks: Marks, data: st.DataObject
) -> None:
    own = data.draw(st.sampled_from(["", *itertools.chain(*marks)]))
    text = case(pieces + own)
    scanner = _scanner(tuple(marks))
    kinds = {match.lastgroup for match in scanner.pattern.finditer(text)}
    assert kinds <= {"uncomment"} or scanner.may_match(text)


@pytest.mark.parametrize(("place", "mark"), list(enumerate(["<think>", "[think]", "◁/THINK▷"])))
def test_a_fast_test_that_lacks_a_first_character_would_be_found(place: int, mark: str) -> None:
    scanner = _scanner(())
    narrower = replace(scanner, begins=scanner.begins[:place] + scanner.begins[place + 1 :])
    assert scanner.pattern.search(mark) is not None
    assert not narrower.may_match(mark)


@given(_RESPONSES)
def test_places_lead_back_to_the_original(text: str) -> None:
    found = visible(text)
    assert "".join(found.text.split()) == "".join("".join(text[a:b] for a, b in found.pieces).split())
    assert list(found.pieces) == sorted(found.pieces)
    for piece, start in zip(found.pieces, found.starts, strict=True):
        length = piece[1] - piece[0]
        assert found.text[start : start + length] == text[slice(*piece)]
        assert found.origin(start, start + length) == piece


@given(_RESPONSES)
def test_what_follows_an_open_mark_is_hidden(text: str) -> None:
    for opening in ("<think>", "[THINK]", "◁think▷", "<scratchpad>"):
        assert "SECRET" not in visible(f"{text.replace('`', '')}\n{opening} SECRET").text or _in_a_comment(text)


def _in_a_comment(text: str) -> bool:
    return "<!--" in text


@given(_RESPONSES)
def test_marks_are_found_in_order_and_do_not_overlap(text: str) -> None:
    found: list[Token] = tokens_of(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


HOSTILE = {
    "opening tags": "<think>",
    "alternating": "<think></analysis>",
    "closing tags": "</think>",
    "pairs": "<think></think>",
    "half tags": "<think ",
    "half headers": "<|channel|>",
    "comments": "<!--",
    "closed comments": "<!-- -->",
    "brackets": "<",
    "fences in reasoning": "\n```x\n<think>\n```y\n</think>",
    "fences and pairs": "<think>\n```</think>\n```x\n",
    "fences": "```\n",
    "quotes": "> > > ",
    "deep": "<think>a<analysis>b",
    "custom": "thoughts: ",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_megabyte_ends(name: str) -> None:
    """Time that grows with the square of the length would take hours."""
    text = (HOSTILE[name] * ((4 << 20) // len(HOSTILE[name])))[: 4 << 20] + "\n```\n</think>b"
    assert visible(text, [("Thoughts: ", "Answer: ")]).text[-1:] in ("b", "")
