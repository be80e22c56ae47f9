"""Verdicts that are known already.

A key is a digest of everything that the verifier was shown, and of the verifier. Faults and skips are never kept.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from reward_servers.core._model import Content, Document, Group, PromptContext, Rollout
from reward_servers.core._outcomes import Verdict

__all__ = ["KeyMaker", "VerdictCache"]

_LENGTH = struct.Struct("<Q")
_ENTRY_OVERHEAD = 400


class VerdictCache:
    """Least recently used verdicts, bounded in bytes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, tuple[Sequence[Verdict], int]] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def get(self, key: bytes) -> Sequence[Verdict] | None:
        """The verdicts under a key: one for a rollout, one per rollout for a group."""
        entry = self._entries.get(key)
        if entry is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: bytes, verdicts: Sequence[Verdict]) -> None:
        """Keeps verdicts, and drops the least recently used ones beyond the capacity."""
        size = 0
        for one in verdicts:
            size += _ENTRY_OVERHEAD + len(one.evidence) + len(one.feedback) + len(one.note) + 100 * len(one.aspects)
        if size > self._capacity:
            return
        previous = self._entries.pop(key, None)
        if previous is not None:
            self._bytes -= previous[1]
        self._entries[key] = (verdicts, size)
        self._bytes += size
        while self._bytes > self._capacity:
            _, (_, dropped) = self._entries.popitem(last=False)
            self._bytes -= dropped


def _content(content: Content) -> bytes:
    return content.encode() if isinstance(content, str) else repr(content).encode()


def _fields(*fields: bytes) -> bytes:
    """Joins fields so that no two different lists of them look alike."""
    return b"".join(part for one in fields for part in (_LENGTH.pack(len(one)), one))


def _documents(documents: Sequence[Document]) -> bytes:
    return repr(documents).encode() if documents else b""


class KeyMaker:
    """Makes the keys of one evaluation. What items share is digested once."""

    def __init__(self, digest: str, options: bytes, seed: int | None) -> None:
        seeded = b"" if seed is None else str(seed).encode()
        self._base = blake2b(_fields(digest.encode(), options, seeded), digest_size=16)
        self._seeded = seed is not None
        self._shared: PromptContext | None = None
        self._shared_state = self._base

    def key(self, subject: Rollout | Group) -> bytes:
        """The key of a subject."""
        shared = subject.prompt_context
        if shared is not self._shared:
            self._shared_state = self._base.copy()
            self._shared_state.update(_fields(_content(shared.prompt), shared.reference, _documents(shared.documents)))
            self._shared = shared
        state = self._shared_state.copy()
        if isinstance(subject, Rollout):
            state.update(self._rollout(subject))
        else:
            state.update(_fields(shared.group_id.encode(), str(shared.size).encode()))
            for rollout in subject.rollouts:
                state.update(self._rollout(rollout))
        return state.digest()

    def _rollout(self, rollout: Rollout) -> bytes:
        content = _content(rollout.content)
        plain = not (
            self._seeded
            or rollout.finish_reason
            or rollout.own_reference
            or rollout.own_documents
            or rollout.token_ids
            or rollout.metadata_json
        )
        if plain:
            return content
        extras = (
            rollout.finish_reason,
            rollout.own_reference,
            rollout.own_documents,
            tuple(rollout.token_ids),
            rollout.metadata_json,
            rollout.rollout_id if self._seeded else "",
        )
        return _fields(content, repr(extras).encode())
