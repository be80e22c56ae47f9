"""What cells were settled with: on its way to another process, to another table, and without what takes most room.

A source is a message of the contract, the bytes of one, or an outcome that the client states itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_client.contract.aspect_names import Renumbering
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types


class _Packed(bytes):
    """Columns on their way to another process, once for all cells that were settled with them."""


def packed(sources: Sequence[Any]) -> list[Any]:
    """Sources as they are pickled: bytes in the place of messages."""
    shared: dict[int, _Packed] = {}
    return [_pack(source, shared) for source in sources]


def unpacked(sources: Sequence[Any]) -> list[Any]:
    """Sources as they were packed: columns are messages again, single results stay bytes until they are read."""
    shared: dict[int, service.ResultColumns] = {}
    return [_unpack(source, shared) if isinstance(source, _Packed) else source for source in sources]


def lean(sources: Sequence[Any]) -> list[Any]:
    """Sources without evidence, feedback, notes and steps."""
    return [_lean(source) if isinstance(source, types.Result | bytes) else source for source in sources]


def renumbered(source: Any, header: Renumbering) -> Any:
    """A source whose aspects are numbered by another header. A copy: tables of the same rollouts share sources."""
    if not isinstance(source, types.Result | bytes) or not header.changes:
        return source
    result = types.Result.FromString(source if isinstance(source, bytes) else source.SerializeToString())
    header.apply(result.verdict.aspects)
    return result.SerializeToString() if isinstance(source, bytes) else result


def _pack(source: Any, shared: dict[int, _Packed]) -> Any:
    if isinstance(source, types.Result):
        return source.SerializeToString()
    if isinstance(source, service.ResultColumns):
        if id(source) not in shared:
            shared[id(source)] = _Packed(source.SerializeToString())
        return shared[id(source)]
    return source


def _unpack(source: _Packed, shared: dict[int, service.ResultColumns]) -> service.ResultColumns:
    if id(source) not in shared:
        shared[id(source)] = service.ResultColumns.FromString(source)
    return shared[id(source)]


def _lean(result: types.Result | bytes) -> bytes:
    source = types.Result.FromString(result) if isinstance(result, bytes) else result
    lean = types.Result(queue_us=source.queue_us, run_us=source.run_us, cached=source.cached)
    if source.HasField("usage"):
        lean.usage.CopyFrom(source.usage)
    if source.HasField("fault"):
        lean.fault.CopyFrom(source.fault)
        lean.fault.evidence_json = b""
    if source.HasField("verdict"):
        lean.verdict.aspects.extend(source.verdict.aspects)
    return lean.SerializeToString()
