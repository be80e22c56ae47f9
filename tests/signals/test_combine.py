"""What a recipe's weights, gates and missing scores make of a score table."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from trainer_client.signals import Gate, InputError, MissingScoreError, OptionError, Term, TooManyMissingError, combine

NAN = float("nan")


def rows_of(*rows: list[float]) -> list[list[float]]:
    """A table of scores: rows of integers beside rows of fractions have no type in common unless one is named."""
    return list(rows)


def test_weighted_sum_and_contributions() -> None:
    result = combine(rows_of([1, 0.5], [0, 1]), None, [Term("math", 1.0), Term("style", 0.2)])
    assert result.rewards.tolist() == [1.1, 0.2]
    assert result.contributions.tolist() == [[1.0, 0.1], [0.0, 0.2]]
    assert result.valid.all()


def test_missing_required_masks_the_row_with_nan_not_zero() -> None:
    result = combine(rows_of([1, NAN], [0, 1]), [[True, False], [True, True]], [Term("a"), Term("b")], max_missing=1)
    assert result.valid.tolist() == [False, True]
    assert np.isnan(result.rewards[0])
    assert result.contributions[0].tolist() == [0.0, 0.0]


def test_missing_optional_is_neutral_among_siblings() -> None:
    terms = [Term("a"), Term("b", 0.5, required=False)]
    scores = [[1, 1.0], [1, 0.0], [1, NAN], [0, NAN], [0, NAN]]
    valid = [[True, True], [True, True], [True, False], [True, False], [True, False]]
    result = combine(scores, valid, terms, groups=[0, 0, 0, 1, 1], max_missing=1)
    # Row 2 gets the mean of 0.5 and 0.0; no row of group 1 has the term, so it is 0 for all of them.
    assert result.rewards.tolist() == [1.5, 1.0, 1.25, 0.0, 0.0]
    group = result.contributions[:3, 1]
    assert group[2] - group.mean() == 0.0


def test_missing_optional_omitted_or_renormalised_on_request() -> None:
    terms = [Term("a", 1.0), Term("b", 3.0, required=False)]
    table, valid = [[0.5, 1.0], [0.5, NAN]], [[True, True], [True, False]]
    assert combine(table, valid, terms, optional="omit", max_missing=1).rewards.tolist() == [3.5, 0.5]
    assert combine(table, valid, terms, optional="renormalise", max_missing=1).rewards.tolist() == [3.5, 2.0]


def test_first_closed_gate_ends_the_row() -> None:
    terms = [
        Term("format", 0.1, gate=Gate(1.0, closed=-1.0)),
        Term("safe", 0.0, gate=Gate(0.5, closed=-2.0)),
        Term("math", 1.0),
    ]
    scores = rows_of([1, 1, 1], [0, 1, 1], [1, 0, 1], [0, NAN, NAN])
    valid = np.isfinite(scores)
    result = combine(scores, valid, terms, max_missing=0.0)
    assert result.rewards == pytest.approx([1.1, -1.0, 0.1 - 2.0, -1.0])
    assert result.closed_by.tolist() == [-1, 0, 1, 0]
    assert result.valid.all(), "what lies behind a closed gate is not needed"
    assert result.contributions.sum(1) + result.closed_value == pytest.approx(result.rewards)


def test_missing_gate_masks() -> None:
    terms = [Term("format", 0.0, gate=Gate(1.0)), Term("math")]
    result = combine(rows_of([NAN, 1], [1, 1]), [[False, True], [True, True]], terms, max_missing=1)
    assert result.valid.tolist() == [False, True]


@pytest.mark.parametrize(
    ("comparison", "expected"), [(">=", [0, 1, 1]), (">", [0, 0, 1]), ("<=", [1, 1, 0]), ("<", [1, 0, 0])]
)
def test_gate_comparisons(comparison: str, expected: list[int]) -> None:
    terms = [Term("g", 0.0, gate=Gate(0.5, comparison)), Term("r")]  # type: ignore[arg-type]
    assert combine([[0.4, 1], [0.5, 1], [0.6, 1]], None, terms).rewards.tolist() == expected


def test_actions_per_fault_code() -> None:
    term = Term("judge", on_missing={"upstream": "floor", "service": "drop_group", "default": "mask"}, floor=-1.0)
    result = combine(
        rows_of([NAN], [1], [NAN], [1], [NAN], [1]),
        [[False], [True]] * 3,
        [term],
        codes=[["upstream"], [""], ["service"], [""], ["overloaded"], [""]],
        groups=["p", "p", "q", "q", "r", "r"],
        max_missing=1,
    )
    assert result.valid.tolist() == [True, True, False, False, False, True]
    assert result.rewards[0] == -1.0
    assert result.dropped.tolist() == [False, False, True, True, False, False]


def test_integer_codes_with_a_legend() -> None:
    term = Term("judge", on_missing={"upstream": "floor"}, floor=0.0)
    codes = np.array([[2], [0], [1]], dtype=np.uint8)
    result = combine(
        rows_of([NAN], [1], [NAN]),
        [[False], [True], [False]],
        [term],
        codes=codes,
        code_names=["accepted", "service", "upstream"],
        max_missing=1,
    )
    assert result.valid.tolist() == [True, True, False]
    with pytest.raises(InputError, match="2 is not in the code_names"):
        combine([[NAN]], [[False]], [term], codes=[[2]], code_names=["accepted"], max_missing=1)


def test_floor_decides_a_gate() -> None:
    gate = Term("format", 0.0, gate=Gate(1.0, closed=-1.0), floor=0.0, on_missing={"default": "floor"})
    result = combine([[NAN, 1.0]], [[False, True]], [gate, Term("math")], max_missing=1)
    assert result.rewards.tolist() == [-1.0]


def test_abort_names_row_term_and_code() -> None:
    term = Term("judge", on_missing={"service": "abort"})
    with pytest.raises(MissingScoreError, match=r"row 1, 'judge' \(service\)"):
        combine(rows_of([1], [NAN]), [[True], [False]], [term], codes=[[""], ["service"]], max_missing=1)


def test_max_missing_holds_for_each_term_alone() -> None:
    table = np.ones((10, 5))
    valid = np.ones((10, 5), bool)
    valid[:3, 4] = False
    terms = [Term(name) for name in "abcd"] + [Term("judge", required=False)]
    with pytest.raises(TooManyMissingError, match=r"'judge': 30.0% .* row 0"):
        combine(table, valid, terms)
    assert combine(table, valid, terms, max_missing=0.3).missing_share.tolist() == [0, 0, 0, 0, 0.3]


def test_not_asked_is_not_missing() -> None:
    terms = [Term("math"), Term("code", gate=Gate(0.5, closed=-1.0))]
    asked = [[True, False], [True, True]]
    result = combine(rows_of([1, NAN], [1, 0]), asked, terms, asked=asked, max_missing=0.0)
    assert result.rewards.tolist() == [1.0, -1.0]
    assert result.valid.all()


def test_bad_input_names_row_and_column() -> None:
    with pytest.raises(InputError, match="row 1, column 'b' holds inf"):
        combine(rows_of([1, 0], [0, np.inf]), None, [Term("a"), Term("b")])
    with pytest.raises(InputError, match="2 columns for 1 terms"):
        combine([[1, 0]], None, [Term("a")])
    with pytest.raises(InputError, match="valid: shape"):
        combine([[1, 0]], [[True]], [Term("a"), Term("b")])


def test_bad_terms() -> None:
    with pytest.raises(OptionError, match="cannot be optional"):
        Term("g", required=False, gate=Gate(1.0))
    with pytest.raises(OptionError, match="no finite floor"):
        Term("a", on_missing={"default": "floor"})
    with pytest.raises(OptionError, match="not one of"):
        Term("a", on_missing={"default": "zero"})  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="needs the groups"):
        combine([[1]], None, [Term("a", on_missing={"default": "drop_group"})])
    with pytest.raises(OptionError, match="max_missing"):
        combine([[1]], None, [Term("a")], max_missing=2)


def test_errors_survive_pickling() -> None:
    error = TooManyMissingError("row 3")
    assert str(pickle.loads(pickle.dumps(error))) == "row 3"


def test_empty_batch() -> None:
    result = combine(np.zeros((0, 2)), None, [Term("a"), Term("b")], groups=[])
    assert result.rewards.shape == (0,)
