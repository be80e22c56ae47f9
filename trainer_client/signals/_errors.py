"""What can go wrong between scores and a training signal.

    SignalError (ValueError)
    ├── InputError              an array has the wrong shape, type or a value that is not finite
    │   └── MissingInputError   the estimator needs an input that the batch does not carry
    ├── OptionError             a method was given an option it does not have, or a value outside its range
    ├── UnknownMethodError      no method has that name (also a KeyError)
    ├── TooManyMissingError     the share of missing scores passed ``max_missing``
    ├── MissingScoreError       a score is missing and its fault code asks to abort
    ├── WholeBatchError         a batch-level estimator was called on one rank's shard without a reduce hook
    └── StateMismatchError      a saved state belongs to another tracker, version or configuration

Every message names what (the row, the column, the option) and ends with the remedy. All of them survive
pickling, since trainers re-raise across processes.
"""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"did you mean a or b? "``; empty where nothing known comes near."""
    # Imported where it is needed: the main path of a trainer does not pay for its mistakes.
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(set(known)), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}? " if close else ""


class SignalError(ValueError):
    """Root of the errors of ``trainer_client.signals``."""


class InputError(SignalError):
    """An input array cannot be used as it is."""


class MissingInputError(InputError):
    """An input that the called estimator needs is absent."""


class OptionError(SignalError):
    """An option is unknown to the method or its value is out of range."""


class UnknownMethodError(SignalError, KeyError):
    """No method is registered under the requested name."""

    def __str__(self) -> str:
        """Show the message as it is; ``KeyError`` would quote it."""
        return str(self.args[0]) if self.args else ""


class TooManyMissingError(SignalError):
    """More scores are missing than the run tolerates."""


class MissingScoreError(SignalError):
    """A score is missing under a fault code whose action is ``abort``."""


class WholeBatchError(SignalError):
    """The estimator's statistics span the whole batch, and only a part of it was given."""


class StateMismatchError(SignalError):
    """A saved state cannot be loaded into this object."""
