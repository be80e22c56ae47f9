"""What can go wrong between scores and a training signal.

    SignalError (ValueError)
    ├── BadInput            an array has the wrong shape, type or a value that is not finite
    │   └── MissingInput    the estimator needs an input that the batch does not carry
    ├── BadOption           a preset was given an option it does not have, or a value outside its range
    ├── UnknownPreset       no preset has that name (also a KeyError)
    ├── TooManyMissing      the share of missing scores passed ``max_missing``
    ├── MissingScore        a score is missing and its fault code asks to abort
    ├── NeedsWholeBatch     a batch-level estimator was called on one rank's shard without a reduce hook
    └── StateMismatch       a saved state belongs to another tracker, version or configuration

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


class BadInput(SignalError):
    """An input array cannot be used as it is."""


class MissingInput(BadInput):
    """An input that the called estimator needs is absent."""


class BadOption(SignalError):
    """An option is unknown to the preset or its value is out of range."""


class UnknownPreset(SignalError, KeyError):
    """No preset is registered under the requested name."""

    def __str__(self) -> str:
        """Show the message as it is; ``KeyError`` would quote it."""
        return str(self.args[0]) if self.args else ""


class TooManyMissing(SignalError):
    """More scores are missing than the run tolerates."""


class MissingScore(SignalError):
    """A score is missing under a fault code whose action is ``abort``."""


class NeedsWholeBatch(SignalError):
    """The estimator's statistics span the whole batch, and only a part of it was given."""


class StateMismatch(SignalError):
    """A saved state cannot be loaded into this object."""
