"""`Reader`: a TOML table that is taken apart key by key, and readers of its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

from trainer_client._errors import RecipeError

_T = TypeVar("_T")
_D = TypeVar("_D")


class Reader:
    """A TOML table that is taken apart key by key; what is left at the end is unknown.

    What is wrong with a key is noted, and the key counts as absent.
    """

    def __init__(self, table: Mapping[str, Any], problems: list[RecipeError], place: str = "") -> None:
        self.table = dict(table)
        self.place = place
        self.known: list[str] = []
        self.problems = problems
        self._earlier = len(problems)

    @property
    def is_sound(self) -> bool:
        """Whether nothing of it was noted as wrong."""
        return len(self.problems) == self._earlier

    def at(self, key: str) -> str:
        """Dotted key of one of its keys."""
        return f"{self.place}.{key}" if self.place else key

    def below(self, key: str, value: Any) -> Reader:
        """The table under a key."""
        return Reader(table_of(self, key, value), self.problems, self.at(key))

    def refuse(self, key: str, reason: str) -> NoReturn:
        """Refuse the value of a key.

        Raises:
            RecipeError: with the dotted key.
        """
        raise RecipeError(reason, self.at(key))

    def take(self, key: str, default: _D, read: Callable[[Reader, str, Any], _T]) -> _T | _D:
        """What a reader makes of the value of a key; the default where it is absent, or wrong, which is noted."""
        self.known.append(key)
        if key not in self.table:
            return default
        try:
            return read(self, key, self.table.pop(key))
        except RecipeError as error:
            self.problems.append(error)
            return default

    def finish(self, *also: str, elsewhere: Mapping[str, str] | None = None) -> None:
        """Note every key that was not taken.

        Args:
            also: further keys that may be meant.
            elsewhere: where to say what people look for here and what is said in another place.
        """
        for key in self.table:
            from difflib import get_close_matches

            if elsewhere and key in elsewhere:
                self.problems.append(RecipeError(f"is not a key here; {elsewhere[key]}", self.at(key)))
                continue
            close = get_close_matches(key, [*self.known, *also], n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join([*self.known, *also])}"
            self.problems.append(RecipeError(f"is not a key here; {hint}", self.at(key)))

    def made(self, make: Callable[..., _T], *args: Any, **fields: Any) -> _T | None:
        """What is made of its fields; None, and a note, where they do not fit or something of them was wrong."""
        if not self.is_sound:
            return None
        try:
            return make(*args, **fields)
        except RecipeError as error:
            self.problems.append(error)
            return None


def table_of(reader: Reader, key: str, value: Any) -> dict[str, Any]:
    """A table."""
    if not isinstance(value, dict):
        reader.refuse(key, f"expected a table, found {kind_of(value)}")
    return value


def text_of(reader: Reader, key: str, value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        reader.refuse(key, f"expected text in quotes, found {kind_of(value)}")
    return value


def texts_of(reader: Reader, key: str, value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        reader.refuse(key, f'expected a list of texts such as ["a", "b"], found {kind_of(value)}')
    return tuple(value)


def flag_of(reader: Reader, key: str, value: Any) -> bool:
    """A truth value."""
    if not isinstance(value, bool):
        reader.refuse(key, f"expected true or false, found {kind_of(value)}")
    return value


def whole_of(reader: Reader, key: str, value: Any) -> int:
    """A whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        reader.refuse(key, f"expected a whole number, found {kind_of(value)}")
    return value


def number_of(reader: Reader, key: str, value: Any) -> float:
    """A number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        reader.refuse(key, f"expected a number, found {kind_of(value)}")
    return float(value)


def kind_of(value: Any) -> str:
    """What a value is, in words, with the value."""
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return f"{names.get(type(value), type(value).__name__)} ({value!r})"
