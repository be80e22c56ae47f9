"""How messages with rollouts come in: one at a time, each read and judged while its texts are in the caches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar, cast

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message

from reward_servers import wire
from reward_servers.core import Call, RequestError
from reward_servers.rpc._scan import SCANNED_FROM, check_density
from reward_servers.rpc._unreadable import with_readable_texts
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

_PIECES_OF_AN_ITEM = 8
"""Messages, parts and documents that come with an item, for a whole call, at most."""
_MOST_EVALUATIONS = 64
_TURN = 0.002
"""Seconds after which others have a turn, also while parts are judged as they are read."""
_PARTS = 8
"""Parts of a message that are added in one turn, so that a message of thousands lets others in between."""

_M = TypeVar("_M", bound=Message)


def parse(kind: type[_M], data: bytes, most: int = 0) -> _M:
    """Parse a message. Bytes of its texts that are no UTF-8 are read as U+FFFD.

    Args:
        kind: Which one.
        data: Its bytes.
        most: Items of a call at most.

    Raises:
        RequestError: The bytes are no message of that kind, or hold far more than such a call can.
    """
    if len(data) > SCANNED_FROM:
        check_density(cast("Descriptor", kind.DESCRIPTOR), data, _PIECES_OF_AN_ITEM * most)
    descriptor = cast("Descriptor", kind.DESCRIPTOR)
    try:
        return kind.FromString(data)
    except DecodeError as error:
        reason = f"the request cannot be read as {descriptor.full_name}: {error}"
    readable = with_readable_texts(descriptor, data)
    if readable is None:
        raise RequestError(reason)
    try:
        return kind.FromString(readable)
    except DecodeError:
        raise RequestError(reason) from None


def check_counts(message: service_pb2.ScoreRequest, most: int) -> None:
    """Refuse what would cost before anything of it is admitted.

    Raises:
        RequestError: There are too many groups, evaluations or blobs; the message names them.
    """
    for name, count, limit in (
        ("groups", len(message.groups), most),
        ("evaluations", len(message.evaluations), _MOST_EVALUATIONS),
        ("blobs", len(message.blobs), most),
    ):
        if count > limit:
            raise RequestError(f"{name}: {count} of them in one call, the limit is {limit}; send smaller batches")


@dataclass(slots=True, frozen=True)
class OpenedCall:
    """A call that groups are to be added to.

    Attributes:
        call: The call.
        reader: Reads the groups.
        groups: The groups.
        expect: Told the caller's indices of rollouts before results for them come.
    """

    call: Call
    reader: wire.GroupReader
    groups: Iterable[types_pb2.Group]
    expect: Callable[[Sequence[int]], None]


class RequestReader:
    """Takes messages in by turns.

    A message is parsed no earlier than it can be judged, and read in parts that are judged before the next is read: its
    texts then pass through the processor's caches once. Messages that are parsed as they arrive push each other out.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take(self, begin: Callable[[], OpenedCall]) -> Call:
        """Open a call in its turn and add everything to it.

        Args:
            begin: Parses a message and opens its call.

        Returns:
            The call.

        Raises:
            RequestError: The message cannot be served; its call is closed, as on every other way out.
        """
        async with self._turn:
            opened = begin()
            parts = wire.parts(opened.groups)
            more = await self._add(opened, parts)
        try:
            while more:
                async with self._turn:
                    more = await self._add(opened, parts)
        except BaseException:
            # A cancellation while the call waits for its next turn.
            opened.call.close()
            raise
        return opened.call

    async def wait_idle(self) -> None:
        """Return when every message that waited for its turn has had it."""
        async with self._turn:
            return

    @staticmethod
    async def _add(opened: OpenedCall, parts: Iterator[list[types_pb2.Group]]) -> bool:
        """Add one turn's parts, and say whether there may be more."""
        added, turn_ends = 0, time.perf_counter() + _TURN
        try:
            for part in islice(parts, _PARTS):
                groups_read = opened.reader.read(part, later=any(opened.call.in_stretches))
                opened.expect(groups_read.indices)
                opened.call.add(groups_read.groups, groups_read.indices, groups_read.source)
                added += 1
                if opened.call.units or time.perf_counter() > turn_ends:
                    # What executors on the loop have just been given is judged here.
                    await asyncio.sleep(0)
                    turn_ends = time.perf_counter() + _TURN
        except BaseException:
            opened.call.close()
            raise
        return added == _PARTS
