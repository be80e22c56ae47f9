"""Completions kept in a file, so that a run can be scored again byte for byte, with no model and no network.

One line for each completion, under a key of all that it depends on: the model as it is configured, its parameters, the
conversation, the seed and which of several samples it is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from reward_servers.engines.judging._backend import CompletionRequest
from reward_servers.engines.judging._completion import ChatRejectedError, Completion, Token

Mode = Literal["record", "replay", "cache"]
_KEPT_REASONS = ("filtered", "context")
Entry = Completion | ChatRejectedError


class RecordingError(ValueError):
    """The file cannot be read or written; the message names it and the remedy."""


def key_of(configured: str, request: CompletionRequest) -> str:
    """A digest of all that a completion depends on."""
    encoded = json.dumps([configured, asdict(request)], sort_keys=True).encode()
    return blake2b(encoded, digest_size=16).hexdigest()


class Recording:
    """The file.

    Attributes:
        mode: ``"record"`` asks and writes; ``"replay"`` never asks; ``"cache"`` asks for what the file does not hold.
    """

    def __init__(self, path: Path, mode: Mode) -> None:
        """Read what is there.

        Raises:
            RecordingError: It cannot be read, is no recording, or is missing where it is to be replayed.
        """
        self.mode = mode
        self._path = path
        self._entries: dict[str, tuple[str, Entry]] = {}
        if mode == "replay" and not path.is_file():
            raise RecordingError(f"{path} is not a file; record one first, with mode = 'record'")
        if mode != "record":
            self._load()
        else:
            self._append(b"")

    def get(self, key: str, identity: str) -> Entry | None:
        """What was kept under a key.

        Args:
            key: The key.
            identity: The model that would be asked. A cache keeps nothing for another one; a replay asks no model.
        """
        entry = self._entries.get(key)
        if entry is None or (self.mode != "replay" and entry[0] != identity):
            return None
        return entry[1]

    @property
    def models(self) -> str:
        """Names of the models whose replies it holds."""
        names = {entry.model for _, entry in self._entries.values() if isinstance(entry, Completion)}
        return ", ".join(sorted(names)[:4]) or "none"

    def put(self, key: str, identity: str, entry: Entry) -> None:
        """Keep a completion, or a refusal that would come again."""
        if isinstance(entry, ChatRejectedError) and entry.reason not in _KEPT_REASONS:
            return
        self._entries[key] = (identity, entry)
        fields: Mapping[str, Any] = (
            {"rejected": {"reason": entry.reason, "message": str(entry)}}
            if isinstance(entry, ChatRejectedError)
            else {"completion": asdict(entry)}
        )
        self._append(json.dumps({"key": key, "identity": identity, **fields}).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        """One write for one line: several processes may share the file."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RecordingError(f"{self._path}: {error.strerror}; give a path that can be written") from None

    def _load(self) -> None:
        try:
            text = self._path.read_text("utf-8") if self._path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RecordingError(f"{self._path} cannot be read: {error}; give the file of a recording") from None
        # What has no end was being written when its process ended.
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                fields = json.loads(line)
                self._entries[fields["key"]] = (fields["identity"], _entry(fields))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise RecordingError(
                    f"{self._path}:{number} is no line of a recording; remove it or record again"
                ) from None


def _entry(record: Mapping[str, Any]) -> Entry:
    if "rejected" in record:
        return ChatRejectedError(record["rejected"]["message"], record["rejected"]["reason"])
    fields = dict(record["completion"])
    fields["tokens"] = tuple(Token(field["text"], field["alternatives"]) for field in fields["tokens"])
    return Completion(**fields)
