"""Answers in HTML, under Markdown's other headings, and with footnotes that are no citations."""

from __future__ import annotations

import time

import pytest

from reward_servers.engines.citations import Evidence, Report, Source, check_citations, measured_by

TEXTS = {"d1": "The tower was built in 1887 by Ilse Varga.", "d2": "The granite tower is 41 metres tall."}
BUILT, TALL = "The tower was built in 1887 [1]", "The tower is 41 metres tall [2]"


def report_of(answer: str) -> Report:
    return check_citations(answer, [Source(name, text) for name, text in TEXTS.items()])


def score(answer: str) -> float:
    evidence = Evidence(TEXTS)
    return measured_by(report_of(answer), lambda names, claim: evidence.may_support(names, claim.prose), TEXTS).f1


@pytest.mark.parametrize(
    "answer",
    [
        f"<h1>Report of 2024</h1>\n<p>{BUILT}.</p><p>{TALL}.</p>",
        f"Report of 2024\n======\n{BUILT}. {TALL}.",
        f"Report of 2024\n------\n{BUILT}. {TALL}.",
        f"{BUILT}.\n---\n{TALL}.",
        f"{BUILT}.<br>{TALL}.",
        f"{BUILT}<br/>{TALL}",
        f'<div class="a"><ul><li>{BUILT}</li><li>{TALL}</li></ul></div>',
        "<table><tr><th>What</th><th>Value</th></tr><tr><td>Built</td><td>1887 [1]</td></tr>"
        "<tr><td>Tall</td><td>41 metres [2]</td></tr></table>",
        f"```\n<p>x</p>\n```\n{BUILT}. {TALL}.",
    ],
)
def test_each_statement_is_one_however_lines_are_written(answer: str) -> None:
    assert len(report_of(answer).claims) == 2
    assert score(answer) == 1.0


def test_rows_of_a_grid_are_statements() -> None:
    rule, double = "+-----+------+\n", "+=====+======+\n"
    head, one, other = "| What | Value |\n", "| Built | 1887 [1] |\n", "| Tall | 41 metres [2] |\n"
    grids = [rule + head + double + one + rule + other + rule, rule + head + rule + one + other + rule]
    for grid in [*grids, rule + head + rule + one + rule + other + rule]:
        assert [claim.citations for claim in report_of(grid).claims] == [("d1",), ("d2",)]
    assert len(report_of(rule + one + rule).claims) == 1


def test_quotations_in_other_marks_are_looked_for() -> None:
    for opening, closing in ("»«", "「」", "『』", "‹›", "„“", "«»"):
        quote = f"{opening}built in 1887{closing} [1]. It is {opening}built in 1888{closing} [1]."
        assert [one.grounding for one in report_of(f"It was {quote}").quotes] == ["exact", "altered"]


def test_a_tag_in_code_breaks_no_line() -> None:
    (statement,) = report_of(f"A `<p>` before {BUILT}.").statements
    assert statement.citations == ("d1",)


def test_a_footnote_that_names_no_source_cites_nothing_and_is_part_of_the_text() -> None:
    report = report_of(f"{BUILT}.[^1] {TALL}.\n\n[^1]: Dates are given in the old style [1].")
    assert report.fabricated == ()
    assert [claim.citations for claim in report.claims] == [("d1",), ("d2",), ("d1",)]
    # What names a source is an entry of the list, and one that no document has is invented.
    invented = report_of("It was built in 1887.[^1]\n\n[^1]: Smith (2020). The tower was built early. Towers.")
    assert invented.fabricated == ("1",)
    assert report_of("It was built in 1887.[^1]\n\n[^1]: d1").cited == ("d1",)


@pytest.mark.parametrize(
    ("entries", "claims"),
    [
        ("[1] d1. The tower was built in 1887 by Ilse Varga.\n[2] d2", ("d1",)),
        ("[1] d1\n[2] d2\n[3] The tower was destroyed in 1950.", ()),
    ],
)
def test_what_an_entry_of_the_list_says_beside_its_source(entries: str, claims: tuple[str, ...]) -> None:
    report = report_of(f"{BUILT}. {TALL}.\n\nReferences\n{entries}")
    assert [claim.citations for claim in report.claims] == [("d1",), ("d2",), claims]


@pytest.mark.parametrize(
    "entry",
    [
        "d1 - Varga (1887). The tower was built of granite. Journal of Towers.",
        "d1, Fire destroyed 200 towers in 1950",
        "https://a.example/x - Fire destroyed 200 towers. It was in 1950.",
    ],
)
def test_titles_of_sources_are_no_statements(entry: str) -> None:
    assert len(report_of(f"{BUILT}.\n\nReferences\n[1] {entry}").claims) == 1


@pytest.mark.parametrize("unit", ["<", "<p ", "<p>", "<!--", "[^1]: It is so.\n", "a\n-\n", "'", "[1] \n"])
def test_time_grows_with_the_length(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        report_of(text)
        return time.process_time() - start

    seconds(1000)
    # Eight times the length: a linear time grows to 8 times, a square one to 64. Other work disturbs single rounds.
    assert any(seconds(160_000) < 32 * max(seconds(20_000), 0.005) for _ in range(8))
