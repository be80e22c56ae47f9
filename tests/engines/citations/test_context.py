"""Facts that are halved: into the head of a table and its cells, into a question and the word that agrees to it."""

from __future__ import annotations

import pytest

from reward_servers.engines.citations import Evidence, Source, check_citations

TEXTS = {"d1": "The Corran Point tower was built in 1887 by Ilse Varga.", "d2": "It was raised by 9 metres in 1912."}


def refuted(answer: str, question: str = "") -> list[str]:
    """Why each statement that cites something cannot be from there; empty where nothing speaks against it."""
    report = check_citations(answer, [Source(name, text) for name, text in TEXTS.items()], question=question)
    evidence = Evidence(TEXTS)
    return [evidence.refutes(one.citations, one.prose) for one in report.claims if one.citations]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("| Tower | 1887 |\n|---|---|\n| Corran Point | built [d1] |", [""]),
        ("| Tower | 1878 |\n|---|---|\n| Corran Point | built [d1] |", ["number"]),
        # A cell without a word says nothing of its column.
        ("| Tower | 1887 | 1878 |\n|---|---|---|\n| Corran Point | built [d1] | – |", [""]),
        ("| Tower | 1887 | 1912 |\n|---|---|---|\n| Corran Point | built | raised by 9 metres [d1] [d2] |", [""]),
        # What follows a table is under no head.
        ("| Tower | 1878 |\n|---|---|\n| Corran Point | |\n\nVarga built it in 1887 [d1].", [""]),
        ("**Was the tower built in 1878?** Yes [d1].", ["number"]),
        ("**Was the tower built in 1887?**\n\nYes, it was [d1].", [""]),
        ("Was the tower built in 1878? No [d1].", [""]),
        ("Was the tower built in 1878? It was built by Varga [d1].", [""]),
        ("**Was the tower built in 1878?**\n\nVarga built it in 1887 [d1]. Yes, indeed [d1].", ["", ""]),
    ],
)
def test_the_half_that_stands_before_is_held_against_the_source(answer: str, why: list[str]) -> None:
    assert refuted(answer) == why


def test_what_was_asked_by_the_user_is_no_news_in_a_head() -> None:
    answer = "| Tower | 1878 |\n|---|---|\n| Corran Point | not yet there [d1] |"
    assert refuted(answer, "What stood there in 1878?") == [""]
    assert refuted(answer) == ["number"]
