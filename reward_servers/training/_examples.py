"""Encoded rows, and what a loss reads of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from reward_servers.engines.models import Encoded

if TYPE_CHECKING:
    import torch

RowKind = Literal["pair", "list", "rating"]
_KINDS: tuple[RowKind, ...] = ("pair", "list", "rating")


@dataclass(frozen=True, slots=True)
class Example:
    """An encoded row.

    Attributes:
        kind: What its values say.
        sequences: The conversations: of a pair the chosen and the rejected one, of a rating one.
        values: Of a list the score of each; of a rating one for each head, or for each place, from 0 to 1 and not a
            number where there is none.
        margin: Of a pair: how much more the better one should score.
        label: Of a pair: probability that the preference holds.
        head: The output that a pair or a list speaks of.
        places: Tokens that a rating speaks of, one value for each; empty for the sequence as a whole.
    """

    kind: RowKind
    sequences: tuple[Encoded, ...]
    values: tuple[float, ...] = ()
    margin: float = 0.0
    label: float = 1.0
    head: int = 0
    places: tuple[int, ...] = ()


class Rows(NamedTuple):
    """Rows of points. A point is a sequence, or a place in one: what a model gives outputs for.

    Attributes:
        kinds: ``[R]`` 0 for a pair, 1 for a list, 2 for a rating.
        points: ``[R, K]`` points of each row; those behind its last one are 0 and not used.
        margins: ``[R]`` of pairs.
        labels: ``[R]`` of pairs.
        heads: ``[R]`` of pairs and lists.
        values: ``[R, V]`` of lists by point, of ratings by head; not a number where there is none.
    """

    kinds: torch.Tensor
    points: torch.Tensor
    margins: torch.Tensor
    labels: torch.Tensor
    heads: torch.Tensor
    values: torch.Tensor

    @staticmethod
    def of_pairs(points: torch.Tensor, margins: torch.Tensor, labels: torch.Tensor) -> Rows:
        """Rows of ``[P, 2]`` pairs for one head."""
        import torch

        zeros = torch.zeros(len(points), dtype=torch.long)
        return Rows(zeros, points, margins, labels, zeros, torch.full((len(points), 1), math.nan))

    def at(self, places: torch.Tensor) -> Rows:
        """Some of the rows."""
        return Rows(*(column[places] for column in self))


class Point(NamedTuple):
    """A sequence by its number, and the token that is read; None for the sequence as a whole."""

    sequence: int
    place: int | None


def tabled(examples: Sequence[Example]) -> tuple[list[Encoded], list[Point], Rows]:
    """Distinct sequences, the points in them, and the rows over the points."""
    import torch

    number_of: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    sequences: list[Encoded] = []
    points: dict[Point, int] = {}
    rows: list[tuple[int, list[int], Example, tuple[float, ...]]] = []
    for example in examples:
        numbers = []
        for encoded in example.sequences:
            key = (encoded.ids, encoded.types)
            if key not in number_of:
                number_of[key] = len(sequences)
                sequences.append(encoded)
            numbers.append(number_of[key])
        kind = _KINDS.index(example.kind)
        if example.places:
            for place, value in zip(example.places, example.values, strict=True):
                point = points.setdefault(Point(numbers[0], place), len(points))
                rows.append((kind, [point], example, (value,)))
        else:
            row_points = [points.setdefault(Point(number, None), len(points)) for number in numbers]
            rows.append((kind, row_points, example, example.values))
    wide = max(len(row_points) for _, row_points, _, _ in rows)
    deep = max(1, *(len(values) for _, _, _, values in rows))
    return (
        sequences,
        list(points),
        Rows(
            torch.tensor([kind for kind, _, _, _ in rows]),
            torch.tensor([[*row_points, *[0] * (wide - len(row_points))] for _, row_points, _, _ in rows]),
            torch.tensor([row.margin for _, _, row, _ in rows]),
            torch.tensor([row.label for _, _, row, _ in rows]),
            torch.tensor([row.head for _, _, row, _ in rows]),
            torch.tensor([[*values, *[math.nan] * (deep - len(values))] for _, _, _, values in rows]),
        ),
    )
