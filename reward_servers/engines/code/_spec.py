"""What a task asks of a program, as `_parse` reads it from a reference.

TestSpec          language, tests, comparison and limits of one task
StdioTests        programs that read standard input and write standard output
InteractiveTests  programs that talk to an interactor
CallTests         a function called with plain data, in a fresh module each time
CodeTests         tests written in Python: assertions, a `check(candidate)` function, unittest or pytest style
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from reward_servers.engines.code._compare import Comparison
from reward_servers.engines.code._limits import RunLimits
from reward_servers.engines.code._packaged import JudgingProgram

Style = Literal["assert", "unittest"]


@dataclasses.dataclass(frozen=True, slots=True)
class StdioTest:
    """One input and the output expected for it."""

    name: str
    stdin: str
    expected: str
    public: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class StdioTests:
    """Tests of a whole program."""

    tests: tuple[StdioTest, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class InteractiveTests:
    """Tests of a program that talks to an interactor; of each test this gets input and answer as files."""

    tests: tuple[StdioTest, ...]
    interactor: JudgingProgram


@dataclasses.dataclass(frozen=True, slots=True)
class CallTest:
    """One call and the value expected of it."""

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    expected: Any
    public: bool = False
    alternatives: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class CallTests:
    """Tests of one function, method of a class `Solution`, or `Class.method`.

    Attributes:
        entry: Its name.
        tests: The calls.
        types: Type of each positional argument that JSON has no word for (`ListNode`, ...), else None.
        return_type: The same of the result.
        how: What the driver does with the result, see `CandidateCall`.
    """

    entry: str
    tests: tuple[CallTest, ...]
    types: tuple[str | None, ...] = ()
    return_type: str | None = None
    how: tuple[tuple[str, Any], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class CodeTests:
    """Tests written in Python.

    Attributes:
        style: `assert`: each assertion at the top and each `check(f)` is a test; `unittest`: each test function or
            method is one.
        code: Their source.
        entry: Name of the function under test where the code does not say it.
        public: Whether all may be shown to the policy, or the names of those that may.
    """

    style: Style
    code: str
    entry: str | None = None
    public: bool | frozenset[str] = False


Tests = StdioTests | InteractiveTests | CallTests | CodeTests


@dataclasses.dataclass(frozen=True, slots=True)
class TestSpec:
    """Everything needed to judge a program, from the reference of its task.

    Attributes:
        language: As the sandbox names it.
        tests: One of the four kinds.
        compare: How answers are compared; for `CodeTests` the assertions themselves say it.
        limits: What one test may use, and what compiling may use.
        setup: Trusted Python source with helpers that the tests use. It runs beside the tests, never the program.
        max_tests: How many tests the test code may turn out to hold.
        prelude: Names that the program finds without importing them: `auto`, `none`, `leetcode`, or Python source.
        validator: For the comparison `validator`: the program that decides.
    """

    __test__ = False  # not a class for pytest to collect

    language: str
    tests: Tests
    compare: Comparison
    limits: RunLimits
    setup: str = ""
    max_tests: int = 1000
    prelude: str = "auto"
    validator: JudgingProgram | None = None

    @property
    def entry(self) -> str | None:
        """Name of the function under test, where the reference gives one."""
        return self.tests.entry if isinstance(self.tests, CallTests | CodeTests) else None
