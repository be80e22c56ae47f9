"""Directories that are no preference model, or only nearly one: ``python -m tests.preference_bad``."""

from tests.preference_bad._directories import BAD, Bad

__all__ = ["BAD", "Bad"]
