"""The record of setting up, step by step, in the form that the owner reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sandbox._inside._kernel import SetupError


class Steps:
    """Steps taken so far. Used as `with steps("name"): ...`, which turns what fails into a `SetupError`."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Take one step."""
        try:
            yield
        except OSError as error:
            raise SetupError(name, error.strerror or str(error)) from error
        self.done.append(name)
