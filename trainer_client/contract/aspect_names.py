"""How results say the names of aspects: by position in a header, and beyond its bound by the name itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from trainer_client.contract.v1 import types_pb2 as types

MOST_NAMES: Final = 1024
"""Names that have a position: as many as one verdict may have aspects.

A verifier that names its aspects after what each item asks, a rubric's criteria above all, would otherwise make a
header that grows with the batch, and with each a column of the batch's length at the caller.
"""
NOWHERE: Final = 2**31 - 1
"""The position of what has none: beyond every header, so that a reader that knows no labels takes it for no other."""


class AspectNames:
    """Names in the order of their positions, which stay as they are.

    Args:
        declared: names that have a position however many they are.
    """

    __slots__ = ("_places", "names")

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self.names = list(declared)
        self._places = {name: place for place, name in enumerate(self.names)}

    def place(self, name: str) -> int:
        """The position of a name, which is added when it is new; `NOWHERE` when there is no room."""
        place = self._places.get(name)
        if place is None:
            if len(self.names) >= MOST_NAMES:
                return NOWHERE
            place = self._places[name] = len(self.names)
            self.names.append(name)
        return place

    def write(self, message: types.Verdict, name: str, value: float | None) -> None:
        """Add an aspect to a verdict's message."""
        place = self.place(name)
        message.aspects.add(name=place, value=value, label=name if place == NOWHERE else None)


class Renumbering:
    """What positions of another header are among these names.

    Args:
        told: the other header.
        names: those names; its names are added.
    """

    __slots__ = ("_places", "_told")

    def __init__(self, header: Sequence[str], names: AspectNames) -> None:
        self._told = header
        self._places = [names.place(name) for name in header]

    @property
    def changes(self) -> bool:
        """Whether any position is another one."""
        return self._places != list(range(len(self._places)))

    def apply(self, aspects: Iterable[types.Aspect]) -> None:
        """Change the positions of aspects. One beyond the header has no name, and gets none of the other names."""
        header, places = self._told, self._places
        for aspect in aspects:
            number = aspect.name
            aspect.name = place = places[number] if number < len(places) else NOWHERE
            if place == NOWHERE and number < len(places):
                aspect.label = header[number]


def name_of(aspect: types.Aspect, names: Sequence[str]) -> str:
    """The name of an aspect; its number where the header gives it none.

    Args:
        aspect: the message.
        names: the header's names.
    """
    return aspect.label or (names[aspect.name] if aspect.name < len(names) else str(aspect.name))
