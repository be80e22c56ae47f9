"""The nouns of the sandbox as plain data, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from sandbox._errors import (
    ProgramRefusedError,
    SandboxClosedError,
    SandboxInternalError,
    SandboxUnavailableError,
    UnsupportedLanguageError,
)
from sandbox._types import CompileFailure, Exit, Invocation, IsolationReport, Program, RunResult, Step

_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind
    for kind in (
        EOFError,
        ProgramRefusedError,
        SandboxClosedError,
        SandboxInternalError,
        SandboxUnavailableError,
        TimeoutError,
        UnsupportedLanguageError,
        ValueError,
    )
}


def error_fields(error: Exception) -> dict[str, Any]:
    """An exception; one of a kind that callers do not know is a failure of ours."""
    name = type(error).__name__
    if name in _ERRORS:
        return {"error": name, "arguments": [str(argument) for argument in error.args]}
    return {"error": "SandboxInternalError", "arguments": ["manager", f"{name}: {error}"]}


def error_of(fields: dict[str, Any]) -> Exception:
    """The exception that was sent."""
    return _ERRORS.get(fields["error"], SandboxInternalError)(*fields["arguments"])


def fields_of(value: Any) -> dict[str, Any]:
    """A dataclass as a dictionary of its fields."""
    return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return fields_of(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return dict(value) if hasattr(value, "keys") else value


def program_of(fields: dict[str, Any]) -> Program:
    """A program."""
    return Program(**fields)


def invocation_of(fields: dict[str, Any]) -> Invocation:
    """What a run gets beside its program."""
    return Invocation(**{**fields, "args": tuple(fields["args"])})


def result_of(fields: dict[str, Any]) -> RunResult:
    """What a run did."""
    return RunResult(**{**fields, "ended": Exit(fields["ended"])})


def failure_of(fields: dict[str, Any]) -> CompileFailure:
    """Why a program does not compile."""
    return CompileFailure(fields["message"], Exit(fields["ended"]))


def report_of(fields: dict[str, Any]) -> IsolationReport:
    """What holds."""
    return IsolationReport(**{**fields, "steps": tuple(Step(**step) for step in fields["steps"])})
