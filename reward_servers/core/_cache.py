"""Verdicts that are known already.

A key is a digest of everything that the verifier was shown, and of the verifier. Faults and skips are never kept.
"""

from __future__ import annotations

import struct
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from reward_servers.core._model import Content, Document, Group, Message, PromptContext, Rollout
from reward_servers.core._outcomes import Verdict

_LENGTH = struct.Struct("<Q")
_ENTRY_OVERHEAD, _ASPECT, _STEP = 400, 100, 200
"""Bytes of an entry, of one aspect and of one step beside the texts, about."""


class VerdictCache:
    """Least recently used verdicts, bounded in bytes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, tuple[Sequence[Verdict], int]] = OrderedDict()
        self._bytes = 0
        self.hits = 0
        self.misses = 0

    @property
    def size(self) -> int:
        """The size of the entries in bytes, about."""
        return self._bytes

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
        """Keep verdicts, and drop the least recently used ones beyond the capacity."""
        size = 0
        for verdict in verdicts:
            size += _ENTRY_OVERHEAD + len(verdict.evidence) + len(verdict.feedback) + len(verdict.note)
            size += _ASPECT * len(verdict.aspects) + _STEP * len(verdict.steps)
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


def fields(*values: bytes | str) -> bytes:
    """Join fields, each behind its length, so that no two different lists of them look alike."""
    encoded = [value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value for value in values]
    return b"".join(part for field in encoded for part in (_LENGTH.pack(len(field)), field))


def _content(content: Content) -> bytes:
    if isinstance(content, str):
        return b"t" + content.encode("utf-8", "surrogatepass")
    return b"m" + fields(*map(_message, content))


def _message(message: Message) -> bytes:
    parts = fields(*(fields(part.kind, part.text, part.data, part.mime) for part in message.parts))
    calls = fields(*(fields(call.id, call.name, call.arguments) for call in message.tool_calls))
    return fields(message.role, message.name, message.tool_call_id, parts, calls)


def _documents(documents: Sequence[Document]) -> bytes:
    return (
        fields(*(fields(document.id, document.text, document.title, document.uri) for document in documents))
        if documents
        else b""
    )


class KeyMaker:
    """Makes the keys of one evaluation. What items share is digested once.

    Every key is a digest of fields behind their lengths: subjects that differ in anything that a verifier is shown have
    different keys.
    """

    def __init__(self, *verifier: bytes | str, seed: int | None, with_names: bool) -> None:
        """Prepare.

        Args:
            verifier: What tells the evaluation apart: the verifier's digest, its bounds and its options.
            seed: Seed of the run where the verifier uses one; the names of rollouts then belong to the key.
            with_names: Whether they do in any case.
        """
        self._base = blake2b(fields(*verifier, "" if seed is None else str(seed)), digest_size=16)
        self._named = with_names or seed is not None
        self._shared: PromptContext | None = None
        self._shared_state = self._base

    def key(self, subject: Rollout | Group) -> bytes:
        """The key of a subject."""
        shared = subject.prompt_context
        if shared is not self._shared:
            self._shared_state = self._base.copy()
            marks = repr(shared.reasoning_marks).encode("utf-8", "replace") if shared.reasoning_marks else b""
            self._shared_state.update(
                fields(_content(shared.prompt), shared.reference, _documents(shared.documents), marks)
            )
            self._shared = shared
        state = self._shared_state.copy()
        if isinstance(subject, Rollout):
            group = fields(shared.group_id, str(shared.size)) if self._named else b""
            state.update(b"r" + group + self._rollout(subject))
        else:
            members = fields(*map(self._rollout, subject.rollouts))
            state.update(b"g" + fields(shared.group_id, str(shared.size), members))
        return state.digest()

    def _rollout(self, rollout: Rollout) -> bytes:
        content = _content(rollout.content)
        plain = not (
            self._named
            or rollout.finish_reason
            or rollout.own_reference
            or rollout.own_documents
            or rollout.token_ids
            or rollout.metadata_json
        )
        if plain:
            return b"p" + content
        tokens = array("Q", rollout.token_ids).tobytes()
        name = rollout.rollout_id if self._named else ""
        documents = _documents(rollout.own_documents)
        return b"x" + fields(
            content, rollout.finish_reason, rollout.own_reference, documents, tokens, rollout.metadata_json, name
        )
