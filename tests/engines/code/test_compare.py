"""The rules of comparison."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.code import Comparison
from reward_servers.engines.code._compare import compare_output, compare_value

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("kind", "got", "expected", "same"),
    [
        ("lines", b"5\n", "5", True),
        ("lines", b"5  \t\r\n\n\n", "5\n", True),
        ("lines", b"\n5", "5", False),
        ("lines", b" 5", "5", False),
        ("lines", b"1\r\n2\r\n", "1\n2\n", True),
        ("lines", b"a\x0bb", "a\nb", False),
        ("lines", b"A", "a", False),
        ("lines", b"", "\n\n", True),
        ("tokens", b"\n 1\t2\n3", "1 2 3", True),
        ("tokens", b"1 2", "12", False),
        ("exact", b"5\n", "5", False),
        ("exact", b"5\r\n", "5\n", False),
        ("exact", "é".encode(), "é", True),
        ("exact", b"\xff", "\ufffd", False),
        ("lines", b"\xff", "\ufffd", True),
        ("float", b"1.0000001", "1", True),
        ("float", b"1.1", "1", False),
        ("float", b"1e0", "1", True),
        ("float", b"nan", "nan", True),
        ("float", b"nan", "1", False),
        ("float", b"inf", "1e999", False),
        ("float", b"1_0", "10", False),
        ("float", "１".encode(), "1", False),
        ("float", b"1 2", "1", False),
        ("float", b"YES 1.0", "YES 1", True),
        ("float", b"-.5", "-0.5", True),
    ],
)
def test_output(kind: Any, got: bytes, expected: str, same: bool) -> None:
    assert compare_output(Comparison(kind, abs=1e-6, rel=1e-6), got, expected) is same


def test_case_is_ignored_only_if_asked_for() -> None:
    assert compare_output(Comparison("lines", ignore_case=True), b"YES", "yes")
    assert compare_output(Comparison("tokens", ignore_case=True), b"YES no", "yes NO")
    assert not compare_output(Comparison("tokens"), b"YES", "yes")


@pytest.mark.parametrize(
    ("got", "expected", "value", "python_eq"),
    [
        ([1, 2], [1, 2], True, True),
        ((1, 2), [1, 2], True, False),
        (1, True, False, True),
        (True, 1, False, True),
        (False, 0.0, False, True),
        (3.0, 3, False, True),
        (3, 3.0, True, True),
        (10**400, 1.0, False, False),
        (10**400, 10**400, True, True),
        (None, None, True, True),
        (None, 0, False, False),
        ("1", 1, False, False),
        ({1, 2}, [1, 2], False, False),
        ({"a": (1,)}, {"a": [1]}, True, False),
        ({"a": 1, "b": 2}, {"a": 1}, False, False),
        ({1: "x"}, {"1": "x"}, True, False),
        ({1: "x"}, {"1": "y"}, False, False),
        (b"a", "a", False, False),
        (math.nan, math.nan, False, False),
        (math.inf, 1.0, False, False),
        ([[1, True]], [[1, 1]], False, True),
    ],
)
def test_values(got: Any, expected: Any, value: bool, python_eq: bool) -> None:
    assert compare_value(Comparison("value"), got, expected) is value
    assert compare_value(Comparison("python_eq"), got, expected) is python_eq


def test_tolerance_of_values() -> None:
    loose = Comparison("value", abs=0.01)
    assert compare_value(loose, [1.005], [1.0])
    assert not compare_value(loose, [1.02], [1.0])
    assert not compare_value(loose, math.nan, 1.0)
    assert not compare_value(loose, True, 1.0)
    assert compare_value(Comparison("value", rel=0.1), 95.0, 100.0)
    assert not compare_value(Comparison("value", rel=0.1), 100.0, 90.0)


@given(DATA)
def test_data_equal_themselves(data: Any) -> None:
    assert compare_value(Comparison("value"), data, data)
    assert compare_value(Comparison("python_eq"), data, data)


@given(DATA, DATA)
def test_values_are_never_laxer_than_python_on_json(one: Any, other: Any) -> None:
    if compare_value(Comparison("value"), one, other):
        assert one == other


@given(st.lists(st.text(max_size=6), max_size=6))
def test_output_matches_itself_in_every_kind(lines: list[str]) -> None:
    text = "\n".join(lines)
    raw = text.encode("utf-8", "replace")
    for kind in ("lines", "tokens", "float"):
        assert compare_output(Comparison(kind), raw, raw.decode())
