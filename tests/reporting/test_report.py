"""What a page holds: which groups, how much, and nothing that was not asked for."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from reward_servers.reporting import (
    KINDS,
    NotScoredError,
    Numbers,
    ReportOptions,
    as_text,
    choose,
    entry_of,
    write_report,
)
from tests.reporting.conftest import row_of


def page_of(rows: list[dict[str, Any]], **options: Any) -> str:
    file = io.StringIO()
    write_report(file, lambda: rows, ReportOptions(**options))
    return file.getvalue()


def data_of(page: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    about, groups = (
        json.loads(text) for text in re.findall(r'<script type="application/json" id="\w+">(.*?)</script>', page, re.S)
    )
    return about, groups


def numbers_of(rows: list[dict[str, Any]]) -> Numbers:
    numbers = Numbers()
    for row in rows:
        numbers.add(entry_of(row))
    return numbers


def test_evidence_and_references_are_there_only_when_asked_for() -> None:
    row = row_of("a", evidence={"right": {"tests": "a hidden test", "answer_form": "a gold form"}})
    row["rollout"]["reference"] = {"answer": "a secret reference"}
    for secret in ("a hidden test", "a gold form", "a secret reference"):
        assert secret not in page_of([row])
        assert secret in page_of([row], evidence=True)


def test_what_was_extracted_is_marked_where_the_response_says_the_same() -> None:
    row = row_of("a", evidence={"right": {"extracted": "42", "span": [4, 6]}})
    row["rollout"]["response"] = "it: 42 is it"
    (rollout,) = data_of(page_of([row]))[1][0]["rollouts"]
    assert rollout["parts"] == ["it: ", "42", " is it"]
    assert rollout["cells"][0]["answer"] == "42"
    for span in ([3, 5], [5, 900], [6, 4], [4.0, 6.0], "4-6", None):
        row["evidence"]["right"]["span"] = span
        assert len(data_of(page_of([row]))[1][0]["rollouts"][0]["parts"]) == 1


def test_a_page_keeps_to_its_size_and_says_what_it_leaves_out() -> None:
    rows = [row_of(f"r{n}", f"g{n // 4}") for n in range(2000)]
    for row in rows:
        row["rollout"]["response"] = "long " * 4000
    page = page_of(rows, groups=400, bytes=5_000_000)
    about, groups = data_of(page)
    assert len(page) <= 5_000_000
    assert 20 < len(groups) < 400
    assert f"{400 - len(groups)} more do not fit" in about["rule"]
    assert "characters ...]" in groups[0]["rollouts"][0]["parts"][0]


def test_a_large_group_shows_its_first_rollouts_and_its_whole_size() -> None:
    about, groups = data_of(page_of([row_of(f"r{n}") for n in range(500)]))
    assert (groups[0]["size"], len(groups[0]["rollouts"])) == (500, 64)
    assert about["rule"] == "all 1 groups are shown"


def test_the_sample_depends_on_ids_alone_and_telling_groups_come_first() -> None:
    rows = [row_of(f"r{n}", f"g{n % 500}", score=float(n % 2)) for n in range(1000)]
    for n in (7, 123, 499):
        rows[n] |= {"reward": None, "scores": {"right": None}}
    first, backwards = choose(numbers_of(rows), 50), choose(numbers_of(rows[::-1]), 50)
    names = [list(numbers_of(order).group_ids) for order in (rows, rows[::-1])]
    chosen = {names[0][number] for number in first.groups}
    assert chosen == {names[1][number] for number in backwards.groups}
    assert len(chosen) == 50
    assert {"g7", "g123", "g499"} <= chosen
    assert first.found["masked"] == 3
    assert "50 of 500 groups" in first.rule


def test_rollouts_are_of_the_kinds_that_the_filters_name() -> None:
    same = {"right": {"extracted": "7"}}
    rows = [
        *(row_of(f"c{n}", "confident", score=0.0, evidence=same) for n in range(3)),
        row_of("c3", "confident", score=1.0, evidence={"right": {"extracted": "8"}}),
        row_of("label", "l", score=0.0),
        row_of("apart", "a", scores={"right": 1.0, "style": 0.0}, codes={}),
        row_of("style", "b", scores={"right": 1.0, "style": 1.0}, codes={}),
        row_of("masked", "m", scores={"right": None}, skips={"right": "deadline"}, reward=None),
        row_of("sure", "s", score=0.0),
        *(row_of(f"p{n}", "paid", score=float(n == 0)) for n in range(3)),
    ]
    rows[4]["rollout"]["expected"] = {"score": 1}
    rows[8]["rollout"]["metadata"] = {"confidence": 0.95}
    rows[9]["rollout"]["response"] = "7"
    flags = choose(numbers_of(rows), 100).flags
    found = {kind: [rows[n]["rollout_id"] for n in np.flatnonzero(flags[kind])] for kind in KINDS}
    assert found == {
        "confident": ["c0", "c1", "c2", "sure"],
        "label": ["label"],
        "disagreement": ["apart"],
        "masked": ["masked"],
        "suspicious": ["p0"],
    }


@pytest.mark.parametrize(
    "broken",
    [
        {"scores": {"right": "high"}}, {"scores": {"right": 1e999}}, {"scores": {"right": [1]}, "codes": [1]},
        {"faults": "all", "notes": 3, "evidence": [1], "skips": {"right": 4}}, {"reward": "much", "advantage": {}},
        {"rollout": 7}, {"rollout": {"response": [1, {"role": 3}], "metadata": [], "expected": 1}},
        {"rollout": {"response": {"a": 1}, "prompt": 5, "finish_reason": 4}}, {"keep": "no"}, {"run_seconds": [3]},
        {"evidence": {"right": {"span": [0, 10**30], "extraction": {"span": [1, 2]}}}}, {"reward": 10**400},
    ],
)  # fmt: skip
def test_rows_of_any_shape_make_a_page(broken: dict[str, Any]) -> None:
    page = page_of([row_of("a"), row_of("b", **broken)], evidence=True)
    assert len(data_of(page)[1][0]["rollouts"]) == 2


def test_rows_that_are_not_scored_are_counted_and_a_file_of_them_is_refused() -> None:
    file = io.StringIO()
    notes = write_report(file, lambda: [{"prompt": "q"}, row_of("a")], ReportOptions())
    assert notes == ["1 rows are left out: row 1: rollout_id: is missing or of another type; give a file that "
                     "`assay score` wrote"]  # fmt: skip
    with pytest.raises(NotScoredError, match="row 1: scores"):
        write_report(file, lambda: [{"rollout_id": "a"}], ReportOptions())


def test_the_same_rows_make_the_same_page() -> None:
    rows = [row_of(f"r{n}", f"g{n // 4}", score=float(n % 3 == 0)) for n in range(64)]
    assert page_of(rows) == page_of(rows)


def test_texts_are_not_held_for_rows_that_are_not_shown() -> None:
    alive: list[int] = []

    class Counted(dict[str, Any]):
        def __init__(self, row: Mapping[str, Any]) -> None:
            super().__init__(row)
            alive.append(1)

        def __del__(self) -> None:
            alive.pop()

    most = 0

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal most
        for n in range(2000):
            yield Counted(row_of(f"r{n}", f"g{n // 4}"))
            most = max(most, len(alive))

    write_report(io.StringIO(), rows, ReportOptions(groups=5))
    assert most <= 3


def test_messages_are_text_one_below_the_other() -> None:
    said = [{"type": "text", "text": "yes"}, {"type": "image"}]
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": said, "tool_calls": [1]}]
    assert as_text(messages) == '[user]\nhi\n\n[assistant]\nyes\n{"type": "image"}\n{"tool_calls": [1]}'
    assert as_text({"answer": 4}) == '{"answer": 4}'
