"""The codec of the data that crosses the border."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.code._guest import driver_source, plain

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1 << 63, -(1 << 63), 1 << 90, -(10**30)])
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
)
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=15,
)


def kinds(data: Any) -> Any:
    """The shape of data with the type of every part, for equality that tells 1 from True and 1.0."""
    if isinstance(data, dict):
        return [(kinds(key), kinds(value)) for key, value in data.items()]
    if isinstance(data, list | tuple):
        return type(data), [kinds(item) for item in data]
    return type(data)


@given(DATA)
def test_plain_data_come_back_as_they_were(data: Any) -> None:
    back = plain.loads(plain.dumps(data))
    assert back == data
    assert kinds(back) == kinds(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_data_or_refused(raw: bytes) -> None:
    try:
        plain.loads(raw)
    except plain.NotPlainError:
        return


def test_integers_of_any_size() -> None:
    numbers = [1 << 20_000, -(10**9000)]
    assert plain.loads(plain.dumps(numbers)) == numbers


WIRE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {
                "$": st.sampled_from(["int", "float", "tuple", "set", "dict", "complex", "bytes", "range", "x"]),
                "v": inner,
            }
        )
    ),
    max_leaves=8,
)


@given(WIRE)
def test_any_json_is_data_or_refused(wire: Any) -> None:
    try:
        plain.decode(wire, True)
    except plain.NotPlainError:
        return


@pytest.mark.parametrize(
    "value",
    [
        decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        datetime.date(2024, 2, 29),
        datetime.timedelta(1, 2, 3),
        range(3),
        collections.deque([1, 2]),
        datetime.datetime(2024, 1, 1, 5),
        datetime.time(1, 2),
    ],
)
def test_library_values_are_read_only_where_asked_for(value: Any) -> None:
    raw = plain.dumps(value)
    assert plain.loads(raw, library=True) == value
    with pytest.raises(plain.LibraryValueError):
        plain.loads(raw)


class Sly(int):
    """Equal to everything, while it is an object of this class."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Color(enum.IntEnum):
    RED = 1


def test_subclasses_count_as_their_base() -> None:
    point = collections.namedtuple("point", "x y")
    values = [Sly(3), collections.Counter("aab"), collections.OrderedDict(a=1), point(1, 2), Color.RED]
    back = plain.loads(plain.dumps(values))
    assert [type(value) for value in back] == [int, collections.Counter, dict, tuple, int]
    assert back == [3, {"a": 2, "b": 1}, {"a": 1}, (1, 2), 1]


@pytest.mark.parametrize("value", [object(), (n for n in "ab"), len, {}.keys(), type, NotImplemented, ...])
def test_other_objects_are_no_plain_data(value: Any) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.dumps([value])


def test_endless_and_deep_data_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(plain.TooDeepError):
        plain.dumps(endless)
    with pytest.raises(plain.NotPlainError):
        plain.loads(b"[" * 100_000)


def test_keys_made_to_collide_are_refused() -> None:
    keys = [index * ((1 << 61) - 1) for index in range(1000)]
    with pytest.raises(plain.NotPlainError, match="equal hash"):
        plain.decode({"$": "set", "v": [plain.encode(key) for key in keys]})
    with pytest.raises(plain.NotPlainError, match="equal hash"):
        plain.decode({"$": "dict", "v": [[plain.encode(key), 1] for key in keys]})


@pytest.mark.parametrize("names", [("candidate",), ("checker",), ("remote", "shim", "tests")])
def test_drivers_compile_and_their_names_do_not_clash(names: tuple[str, ...]) -> None:
    import ast

    module = ast.parse(driver_source(*names))
    defined: collections.Counter[str] = collections.Counter()
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined[node.name] += 1
        elif isinstance(node, ast.Assign):
            defined.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert [name for name, times in defined.items() if times > 1] == []
    assert b"reward_servers" not in driver_source(*names)
