"""Packs sequences one behind the other, so that a device computes many at once without padding.

A *segment* is a run of tokens that only see themselves and, where a beginning is shared, that beginning's segment. The
prompt of a group is one segment, and each response another one behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from reward_servers.engines.models._encoding import Encoded

BLOCK = 128
"""Tokens of a block of the attention kernel. Segments that begin at blocks are summed in the same order anywhere."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens of a pack that belong together.

    Attributes:
        start: Place of the first.
        length: How many.
        before: The segment that they follow, as its number; -1 for none.
        position: Position of its first token in its own sequence.
    """

    start: int
    length: int
    before: int = -1
    position: int = 0


@dataclass(slots=True)
class Pack:
    """Sequences that are computed together.

    Attributes:
        ids: Token ids, with 0 where segments are moved to a block.
        segments: Where what belongs together is.
        last: For each sequence its place in the batch, and that of its last token here.
        reused: For each sequence, the number of its first tokens that another sequence had brought.
        real: Tokens that are no filling.
    """

    ids: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    last: list[tuple[int, int]] = field(default_factory=list)
    reused: list[int] = field(default_factory=list)
    real: int = 0

    def add(self, ids: Sequence[int], align: int, before: int = -1) -> int:
        """Add a segment at the next multiple of ``align``; return its number."""
        self.ids += [0] * (-len(self.ids) % align)
        position = self.segments[before].length if before >= 0 else 0
        self.segments.append(Segment(len(self.ids), len(ids), before, position))
        self.ids += ids
        self.real += len(ids)
        return len(self.segments) - 1

    def fill(self, length: int) -> None:
        """Fill up with padding tokens."""
        self.ids += [0] * (length - len(self.ids))


def _rounded(length: int, align: int) -> int:
    return -(-length // align) * align


def packed(
    sequences: Sequence[Encoded], prefix_of: Callable[[Encoded], tuple[int, ...]], budget: int, align: int = 1
) -> Iterator[Pack]:
    """Cut a batch into packs.

    Args:
        sequences: The batch.
        prefix_of: The beginning of a sequence that becomes a separate segment; empty for none.
        budget: Tokens of a pack. A longer sequence gets a separate pack.
        align: Segments begin at multiples of it.

    Yields:
        Packs, in which every sequence comes once. Sequences with the same beginning are in the same pack as far as they
        fit.
    """
    prefixes = [prefix_of(sequence) for sequence in sequences]
    order = sorted(range(len(sequences)), key=lambda place: (prefixes[place], len(sequences[place].ids)))
    pack, places = Pack(), dict[tuple[int, ...], int]()
    for place in order:
        prefix, ids = prefixes[place], sequences[place].ids
        tail = ids[len(prefix) :]
        fresh = prefix not in places
        needed = _rounded(len(tail), align) + (_rounded(len(prefix), align) if fresh else 0)
        if pack.segments and _rounded(len(pack.ids), align) + needed > budget:
            yield pack
            pack, places, fresh = Pack(), {}, True
        if prefix and fresh:
            places[prefix] = pack.add(prefix, align)
        pack.add(tail, align, places[prefix] if prefix else -1)
        pack.last.append((place, len(pack.ids) - 1))
        pack.reused.append(0 if fresh else len(prefix))
    if pack.segments:
        yield pack
