"""The part of pytest that test code of tasks uses, for a sandbox that has no pytest.

Offered: `raises` (with `match`), `approx`, `fail`, `skip`, `param`, `mark.parametrize` and marks that change nothing,
function-scoped `fixture`s without parameters, and the fixtures `capsys`, `monkeypatch`, `tmp_path`. Anything else is
refused by name.
"""

from __future__ import annotations

import inspect
import io
import math
import pathlib
import re
import sys
import tempfile
import types
from typing import Any

from reward_servers.engines.code._guest.patching import MonkeyPatch
from reward_servers.engines.code._guest.plain import UnpassableError


class FailedTestError(AssertionError):
    """A test called `pytest.fail`, or what should have been raised was not."""


class SkippedTestError(Exception):
    """A test called `pytest.skip`."""


class _Raises:
    """Context that expects an exception."""

    def __init__(self, expected: Any, match: str | None = None) -> None:
        self._expected, self._match = expected, match
        self.value: BaseException | None = None
        self.type: type[BaseException] | None = None

    def __enter__(self) -> _Raises:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        if kind is None:
            raise FailedTestError(f"did not raise {self._expected}")
        if not issubclass(kind, self._expected):
            return False
        self.value, self.type = error, kind
        if self._match is not None and not re.search(self._match, str(error)):
            raise FailedTestError(f"the message does not match {self._match!r}")
        return True


def raises(expected: Any, *args: Any, match: str | None = None, **kwargs: Any) -> Any:
    """Expect an exception, as a context or of a call."""
    context = _Raises(expected, match)
    if not args:
        return context
    with context:
        args[0](*args[1:], **kwargs)
    return context


class Approximately:
    """A number, sequence or dict that equals others within a tolerance."""

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:
        self._expected, self._rel, self._abs = expected, rel, abs

    def __eq__(self, result: object) -> bool:
        return self._matches(result, self._expected)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"approx({self._expected!r})"

    def _matches(self, result: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            same_shape = isinstance(result, dict) and result.keys() == expected.keys()
            return same_shape and all(self._matches(result[key], value) for key, value in expected.items())
        if isinstance(expected, list | tuple):
            same_shape = isinstance(result, list | tuple) and len(result) == len(expected)
            return same_shape and all(map(self._matches, result, expected))
        if result == expected:
            return True
        if any(isinstance(side, bool) or not isinstance(side, int | float | complex) for side in (result, expected)):
            return False
        difference, size = abs(result - expected), abs(expected)
        if not (math.isfinite(difference) and math.isfinite(size)):
            return False
        if self._rel is None and self._abs is not None:
            return bool(difference <= self._abs)
        absolute = 1e-12 if self._abs is None else self._abs
        return bool(difference <= max(absolute, (1e-6 if self._rel is None else self._rel) * size))


class _Parameters:
    """One set of parameters with an id or marks, which change nothing here."""

    def __init__(self, *values: Any, **_: Any) -> None:
        self.values = values


class _Mark:
    """`pytest.mark`: `parametrize` is kept on the function, other marks change nothing."""

    def __getattr__(self, name: str) -> Any:
        def mark(*args: Any, **kwargs: Any) -> Any:
            if len(args) == 1 and callable(args[0]) and not kwargs:
                return args[0]
            return lambda function: function

        return mark

    def parametrize(self, names: Any, values: Any, **_: Any) -> Any:
        """Remember names and values for the driver."""
        words = [word.strip() for word in names.split(",")] if isinstance(names, str) else list(names)
        sets = [value.values if isinstance(value, _Parameters) else value for value in values]
        rows = [dict(zip(words, row if len(words) > 1 else [_single(row)], strict=True)) for row in sets]

        def keep(function: Any) -> Any:
            function.parameter_sets = [*getattr(function, "parameter_sets", []), rows]
            return function

        return keep


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


class _Capture:
    """The fixture `capsys`: what the program and the test print."""

    def __init__(self) -> None:
        self._before, self._now = sys.stdout, io.StringIO()
        sys.stdout = self._now

    def readouterr(self) -> Any:
        """What was printed since the last time; nothing of standard error comes here."""
        printed = self._now.getvalue()
        self._now.seek(0)
        self._now.truncate()
        return types.SimpleNamespace(out=printed, err="")

    def finish(self) -> Any:
        """Generator whose second step puts the old output back."""
        yield
        sys.stdout = self._before


_fixtures: dict[str, Any] = {}


def fixture(function: Any = None, **_: Any) -> Any:
    """Register a function whose value is given to tests that name it."""
    if function is None:
        return fixture
    _fixtures[function.__name__] = function
    return function


def with_fixtures(function: Any, values: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Arguments of a function, from parameters and fixtures, and the generators to finish afterwards."""
    arguments: dict[str, Any] = {}
    running: list[Any] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name in values:
            arguments[name] = values[name]
        elif name in _fixtures:
            inner, more = with_fixtures(_fixtures[name], values)
            value = _fixtures[name](**inner)
            running += more
            if inspect.isgenerator(value):
                running.append(value)
                value = next(value)
            arguments[name] = value
        elif name in ("monkeypatch", "tmp_path"):
            arguments[name] = MonkeyPatch() if name == "monkeypatch" else pathlib.Path(tempfile.mkdtemp())
            if name == "monkeypatch":
                running.append(arguments[name].finish())
                next(running[-1])
        elif name == "capsys":
            arguments[name] = _Capture()
            running.append(arguments[name].finish())
            next(running[-1])
        elif parameter.default is parameter.empty:
            raise UnpassableError(f"no fixture {name!r} is offered here")
    return arguments, running


def install() -> None:
    """Make `import pytest` give this."""

    def fail(reason: str = "", **_: Any) -> None:
        raise FailedTestError(reason)

    def skip(reason: str = "", **_: Any) -> None:
        raise SkippedTestError(reason)

    def absent(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnpassableError(f"pytest.{name} is not offered here")

    module = types.ModuleType("pytest")
    names = {"raises": raises, "approx": Approximately, "mark": _Mark(), "param": _Parameters, "fixture": fixture}
    module.__dict__.update(names, fail=fail, skip=skip, __getattr__=absent)
    sys.modules["pytest"] = module
