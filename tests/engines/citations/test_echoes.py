"""Pages that show what their address says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.citations import without_echo

SAID = "Ilse Varga won the Telford Prize in 1891"


@pytest.mark.parametrize(
    ("text", "address", "left"),
    [
        (f"You said: {SAID}. Bye.", f"https://e.example/say?text={SAID.replace(' ', '%20')}", "You said: [...]. Bye."),
        (f"No results for '{SAID}'", f"https://e.example/?q={SAID.replace(' ', '+')}", "No results for '[...]'"),
        (f"{SAID}: not found", f"https://e.example/{SAID.replace(' ', '%2520')}", "[...]: not found"),
        ("没有找到：灯塔建于一八八七年。", "https://e.example/?q=灯塔建于一八八七年", "没有找到：[...]。"),
        ("a b c d e f. a b c d e", "http://e.example/?a+b+c+d+e", "[...] f. [...]"),
    ],
)
def test_what_an_address_dictates_is_taken_out(text: str, address: str, left: str) -> None:
    assert without_echo(text, address) == left


@pytest.mark.parametrize(
    ("text", "address"),
    [
        # The path is made from the title of the page.
        (
            "The Lord of the Rings: The Two Towers came out in 2002.",
            "https://w.example/wiki/The_Lord_of_the_Rings:_The_Two_Towers",
        ),
        ("Ilse Varga, winner of the Telford Prize.", "https://w.example/?q=Telford+Prize+winner"),
        (SAID, "d1"),
        (SAID, "https://[bad"),
        ("", f"https://e.example/?q={SAID}"),
    ],
)
def test_the_rest_of_a_page_stays(text: str, address: str) -> None:
    assert without_echo(text, address) == text


@given(
    st.text(max_size=60),
    st.lists(st.sampled_from(["Varga", "won", "the", "Telford", "Prize", "1891"]), min_size=5, max_size=9),
)
def test_whatever_stands_around_it(around: str, words: list[str]) -> None:
    said = " ".join(words)
    assert said not in without_echo(f"{around} {said} {around}", f"https://e.example/?q={'+'.join(words)}")
