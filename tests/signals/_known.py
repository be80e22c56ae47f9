"""Parts of a signal or a batch that a test knows to be there."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def known(value: T | None) -> T:
    """The value itself; a test that finds None in its place fails here."""
    assert value is not None
    return value
