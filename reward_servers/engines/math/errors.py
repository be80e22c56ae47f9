"""What can go wrong with a text that should be an answer.

MathError
+- AnswerSyntaxError    the text is not an answer this grammar knows, with the position
+- LimitExceededError   a deterministic bound was passed, with its name
+- InvalidGoldError     a reference answer that cannot be used (a fault of the data set)
+- SymbolicUnavailableError  the symbolic stage could not run, for a reason of ours
"""

from __future__ import annotations


class MathError(Exception):
    """Root of the engine's errors."""


class AnswerSyntaxError(MathError):
    """The text is not an answer the grammar knows; `position` counts characters."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return f"{self.message} (at {self.position})"


class LimitExceededError(MathError):
    """A deterministic bound was passed; `bound` names it."""

    def __init__(self, bound: str, detail: str) -> None:
        super().__init__(bound, detail)
        self.bound = bound
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.bound}: {self.detail}"


class InvalidGoldError(MathError, ValueError):
    """A reference answer that cannot be used, with the position where it fails."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message, position)
        self.message = message
        self.position = position

    def __str__(self) -> str:
        return f"{self.message} (at {self.position})"


class SymbolicUnavailableError(MathError, RuntimeError):
    """The symbolic stage could not answer for a reason of ours; nothing is known about the answer."""
