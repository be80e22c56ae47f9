"""Errors of the code engine: who has to act when a submission cannot be judged.

    CodeEngineError
    ├── BadReferenceError     the tests, limits or language that came with the task are unusable: the data set's owner
    ├── UnmeasuredLimitError  the reference bounds what this host cannot measure: the operator
    └── BadOptionsError       the caller asked for something that does not exist: the caller

What the submission did is never an error, it is a `Verdict`. Failures of the isolation keep the types of the
package `sandbox` (`SandboxInternalError`, `SandboxUnavailableError`, `UnsupportedLanguageError`) and pass through
unchanged.
"""

from __future__ import annotations


class CodeEngineError(Exception):
    """A submission was not judged, and not because of anything in it.

    Attributes:
        field: Dotted path of the field at fault, e.g. `tests.cases[3].stdin`.
        problem: What is wrong with it.
        remedy: What to write instead.
    """

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(field, problem, remedy)
        self.field = field
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}. {self.remedy}"


class BadReferenceError(CodeEngineError):
    """The reference of the task (tests, comparison, limits, language) cannot be used."""


class UnmeasuredLimitError(CodeEngineError):
    """The reference sets a limit that no verdict can rest on here."""


class BadOptionsError(CodeEngineError):
    """An option of the request is unknown or contradicts another."""
