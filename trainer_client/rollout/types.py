"""`Rollout` and `Document`: what is sent to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trainer_client._errors import RolloutError
from trainer_client.rollout.content import Content, ContentError, read_turns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

JSON = Any
"""A JSON value: None, bool, int, float, str, list or dict of these. Numpy scalars and arrays are accepted too."""


@dataclass(slots=True)
class Document:
    """A document that a rollout could read and cite.

    Attributes:
        id: what citations refer to; unique within the rollout.
        text: the content.
        title: its title.
        uri: its address. Servers do not fetch it.
    """

    id: str
    text: str
    title: str = ""
    uri: str = ""

    def __post_init__(self) -> None:
        for name in ("id", "text", "title", "uri"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise RolloutError(f"expected text, found {type(value).__name__}", f"documents.{name}")
        if not self.id:
            raise RolloutError("is empty; citations need something to refer to", "documents.id")


@dataclass(slots=True)
class Rollout:
    """One response to a prompt, and what a verifier needs to judge it.

    Attributes:
        rollout_id: your name for it; unique within a batch, and part of the seed of a verifier that draws.
        prompt: what the policy was asked: text, or messages as chat APIs write them.
        response: what the policy wrote: text, or messages (tool calls, tool results and reasoning parts included).
        group_id: rollouts with the same id answer the same prompt. Empty: a group of its own.
        task: decides which rewards of a recipe apply.
        reference: what the response is compared with, as JSON; its form is the verifier's.
        metadata: anything else a verifier may want, as a JSON object.
        finish_reason: why generation ended (``"stop"``, ``"length"``); empty when not known.
        documents: what the rollout could read and cite.
        token_ids: token ids of the response, for verifiers that count tokens.
        expected: a label ``{"score": ...}`` to compare with; never sent to a server.
        extra: further fields of a rollout file, kept for writing; never sent to a server.

    Raises:
        RolloutError: a field has the wrong type, or a message in it cannot be read.
    """

    rollout_id: str
    prompt: Content
    response: Content
    group_id: str = ""
    task: str = ""
    reference: JSON = None
    metadata: Mapping[str, JSON] | None = None
    finish_reason: str = ""
    documents: Sequence[Document] = ()
    token_ids: Sequence[int] | NDArray[np.integer[Any]] = ()
    expected: Mapping[str, JSON] | None = None
    extra: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.rollout_id, str) or not self.rollout_id:
            raise RolloutError(f"expected a text that is not empty, found {self.rollout_id!r}", "rollout_id")
        if type(self.response) is not str:
            self._check_content("response", self.response)
        if type(self.prompt) is not str:
            self._check_content("prompt", self.prompt)
        if not self.group_id:
            self.group_id = self.rollout_id
        if not (isinstance(self.group_id, str) and isinstance(self.task, str) and isinstance(self.finish_reason, str)):
            self._refuse_non_text("group_id", "task", "finish_reason")
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise self._wrong("metadata", "an object", self.metadata)
        if self.expected is not None and not isinstance(self.expected, Mapping):
            raise self._wrong("expected", "an object such as {'score': 1.0}", self.expected)
        if self.documents:
            self._check_documents()
        if len(self.token_ids):
            self._check_token_ids()

    def _check_content(self, name: str, value: object) -> None:
        if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
            raise self._wrong(name, "text or a list of messages", value)
        if isinstance(value, str):
            return
        try:
            read_turns(value)
        except ContentError as error:
            raise RolloutError(str(error), name, self.rollout_id) from None

    def _check_documents(self) -> None:
        ids: set[str] = set()
        for document in self.documents:
            if not isinstance(document, Document):
                raise self._wrong("documents", "Document objects", document)
            if document.id in ids:
                raise RolloutError(
                    f"two documents have the id {document.id!r}; ids must differ within a rollout",
                    "documents",
                    self.rollout_id,
                )
            ids.add(document.id)

    def _check_token_ids(self) -> None:
        if isinstance(self.token_ids, str | bytes):
            raise self._wrong("token_ids", "whole numbers from 0", self.token_ids)
        for token in self.token_ids:
            # Anything with __index__ is a whole number, numpy's and torch's included.
            if isinstance(token, bool) or not hasattr(token, "__index__") or not 0 <= token < 2**32:
                raise self._wrong("token_ids", "whole numbers from 0 to 2**32 - 1", token)

    def _refuse_non_text(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, str):
                raise self._wrong(name, "text", value)

    def _wrong(self, name: str, expected: str, value: object) -> RolloutError:
        return RolloutError(f"expected {expected}, found {type(value).__name__}", name, self.rollout_id)


def as_rollouts(rollouts: Iterable[Rollout]) -> Sequence[Rollout]:
    """The rollouts as a sequence.

    Raises:
        RolloutError: it is something else, or one of them is.
    """
    if isinstance(rollouts, str | bytes | Mapping) or not isinstance(rollouts, Iterable):
        raise RolloutError(f"expected rollouts, found {_full_name(rollouts)}{_remedy(rollouts)}")
    listed = rollouts if isinstance(rollouts, Sequence) else list(rollouts)
    for row, rollout in enumerate(listed):
        if not isinstance(rollout, Rollout):
            raise not_a_rollout(rollout, f"rollouts[{row}]")
    return listed


def not_a_rollout(value: object, place: str = "rollout") -> RolloutError:
    """The error for a value that is none, with what to give instead."""
    return RolloutError(f"expected a trainer_client.Rollout, found {_full_name(value)}{_remedy(value)}", place)


def _full_name(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _remedy(value: object) -> str:
    if isinstance(value, str):
        return "; read a file with read_rollouts(path).rollouts"
    if isinstance(value, Mapping):
        return "; make a rollout of it with Rollout(**fields)"
    if hasattr(value, "rollouts"):
        return "; give its .rollouts"
    if type(value).__name__ == "Rollout":
        return ", which is what a verifier is shown; import Rollout from trainer_client"
    return ""
