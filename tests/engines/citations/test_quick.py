"""Quick tests pass whatever the rule behind them matches: what they stop is stopped for no other reason."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.citations import Evidence
from reward_servers.engines.citations._figures import figures, plain_figures
from reward_servers.engines.citations._layout import blanked
from reward_servers.engines.citations._normalised import _NEGATION, NormalisedText, sense, stems
from reward_servers.engines.citations._notation import math_spans
from reward_servers.engines.citations._statements import EXEMPT
from reward_servers.engines.citations._words import WORD, Rule, words_of

PROSE = st.lists(
    st.sampled_from(
        re.findall(
            r"\S+",
            "The tower of Varga was not no none nor can't n't N'T isn’t nothing but until No. 5 five twenty-one 1,200 "
            "km 3rd 1880s non-stop o'er - ' '' a-b -c d- é naïve Straße НЕ нет не 不 没有 未来 灯塔1887年 kein Kein. "
            "about 40 ~7 fails FAILED, denies; nine_ten 7never",
        )
    ),
    max_size=12,
).map(" ".join)
PLACE = st.integers(0, 20)


@pytest.mark.parametrize("rule", EXEMPT, ids=range(len(EXEMPT)))
@given(data=st.data())
def test_what_a_rule_matches_may_be_matched(rule: Rule, data: st.DataObject) -> None:
    found = data.draw(st.from_regex(rule.pattern))
    # Of letters that are no ASCII only those of the rule itself are drawn as they are written.
    if rule.pattern.search(found) is not None and "ı" not in found and "İ" not in found:
        assert rule.may_match(found)


@given(st.one_of(PROSE, st.text(max_size=60), st.text(alphabet="aB'-’ 1_é", max_size=20)))
def test_words_are_those_that_a_search_finds(text: str) -> None:
    folded = text.replace("\u0345", " ").casefold()  # no letter, but without case it is one
    words, parts = words_of(text)
    assert words == set(WORD.findall(folded))
    assert parts == set(re.findall(r"[^\W\d_]+", folded))


@given(PROSE)
def test_a_text_without_a_word_that_denies_denies_nothing(text: str) -> None:
    said = NormalisedText(text)
    assert said.holds_denial == (_NEGATION.search(text) is not None)
    assert (said.stems, said.denies) == sense(text) == (stems(text), said.denies)


@given(PROSE)
def test_figures_without_their_hedges_are_the_same(text: str) -> None:
    assert plain_figures(text, words_of(text)[1]) == [(one.value, one.unit) for one in figures(text)]


@given(st.text(alphabet="ab\n", max_size=20), st.lists(st.tuples(PLACE, PLACE).map(sorted)))
def test_blank_spans_in_any_order(text: str, spans: list[list[int]]) -> None:
    covered = {at for start, end in spans for at in range(start, end)}
    wanted = "".join("." if at in covered and mark != "\n" else mark for at, mark in enumerate(text))
    assert blanked(text, [(start, end) for start, end in spans], ".") == wanted


def test_formulas_and_matrices_are_found_in_any_mix() -> None:
    assert [*math_spans("A [[1], [2, 3]] and \\(x\\) cost $x$ or $$y$$.")] == [(20, 25), (38, 43), (31, 34)]


def test_a_sign_that_without_case_is_a_letter_hides_no_word() -> None:
    assert any(rule.may_match("ok\u0345") for rule in EXEMPT if rule.pattern.search("ok\u0345"))
    assert NormalisedText("It was not\u0345 closed.").denies
    assert [one.value for one in figures("five\u0345 ships")] == [5.0]


@pytest.mark.parametrize("number", ["n\u0131ne", "\u017fix", "f\u0131ve", "E\u0130GHT"])
def test_a_letter_that_only_looks_like_one_makes_no_number(number: str) -> None:
    assert [one.value for one in figures(f"ten {number} ships")] == [10.0]
    assert Evidence({"d": "Ten ships."}).may_support(["d"], f"Ten {number} ships.")
