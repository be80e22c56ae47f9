"""The base class of methods that keep state."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, ClassVar

from trainer_client.signals._errors import InputError, StateMismatchError


def saved_ids(ids: Iterable[Hashable]) -> list[Any]:
    """Ids of prompts in the form in which they are saved as JSON.

    Raises:
        InputError: an id is neither an integer nor a string.
    """
    plain = [value.item() if hasattr(value, "item") else value for value in ids]
    odd = next((value for value in plain if not isinstance(value, str | int)), None)
    if odd is not None:
        raise InputError(f"groups: {odd!r} is neither an integer nor a string, and could not be saved with the state")
    return plain


class Tracker:
    """State that is saved with the run.

    A subclass names its ``kind`` and the ``parts`` of it that are trackers themselves, or gives its state as JSON types
    (floats survive JSON exactly in Python) and takes it back. ``version`` grows when the meaning of the state changes.
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    parts: ClassVar[tuple[str, ...]] = ()

    def state_dict(self) -> dict[str, Any]:
        """The state as JSON-serialisable types; a copy that later updates do not touch."""
        return {"kind": self.kind, "version": self.version, **self._state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            StateMismatchError: the state is of another kind or version, or lacks a part.
        """
        header = (state.get("kind"), state.get("version"))
        if header != (self.kind, self.version):
            raise StateMismatchError(
                f"{self.kind}: the state is of {header[0]!r}, version {header[1]}; version {self.version} is read here"
            )
        try:
            self._restore(state)
        except (KeyError, TypeError) as error:
            raise StateMismatchError(
                f"{self.kind}: the state is damaged ({error}); start from an earlier one"
            ) from error

    def _state(self) -> dict[str, Any]:
        """The state without kind and version: that of the parts, unless a subclass says otherwise."""
        return {name.lstrip("_"): getattr(self, name).state_dict() for name in self.parts}

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take the state back."""
        for name in self.parts:
            getattr(self, name).load_state_dict(state[name.lstrip("_")])
