"""Lines of results on disk until the advantages are known, which need the scores of all rollouts."""

from __future__ import annotations

import json
import tempfile
from array import array
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from reward_servers.cli._errors import writing_at
from trainer_client import Rollout
from trainer_client.result.rows import rollout_fields


class Line(NamedTuple):
    """What is written of a rollout.

    Attributes:
        scored: Its scores, as JSON.
        kept: The fields of the rollout itself, as JSON; empty where they are not kept.
        shown: What a page about the run shows besides, as JSON; empty without one.
        told: What the policy may be told of it, as JSON; empty where no request carries it.
    """

    scored: str
    kept: str = ""
    shown: str = ""
    told: str = ""


class Spool:
    """Lines by the place of their rollout.

    Args:
        folder: Where the file is made; None for the usual place of temporary files.
        keep: Whether to keep the fields of the rollouts.
    """

    def __init__(self, folder: Path | None, *, keep: bool) -> None:
        self._stack = ExitStack()
        self._folder = Path(tempfile.gettempdir()) if folder is None else folder
        self._file = self._stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (the stack closes it)
        self._at = array("q")
        self._keep = keep

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exception: object) -> None:
        with writing_at(self._folder):
            self._stack.close()

    def clear(self) -> None:
        """Forget what is there."""
        with writing_at(self._folder):
            self._file.seek(0)
            self._file.truncate()

    def add(
        self,
        place: int,
        line: Mapping[str, Any],
        rollout: Rollout,
        details: Mapping[str, Any] | None,
        feedback: Mapping[str, Any] | None,
    ) -> None:
        """Take the line of a rollout, and what a page shows of it and a request tells of it besides."""
        if place >= len(self._at):
            self._at.extend([-1] * (place + 1 - len(self._at)))
        rollout_json = _json(rollout_fields(rollout)) if self._keep else ""
        parts = (
            _json(line),
            rollout_json,
            _json(details) if details is not None else "",
            _json(feedback) if feedback else "",
        )
        with writing_at(self._folder):
            self._at[place] = self._file.seek(0, 2)
            self._file.write("".join(f"{part}\n" for part in parts).encode("utf-8", "surrogatepass"))

    def read(self, place: int) -> Line:
        """The line of a rollout."""
        with writing_at(self._folder):
            self._file.seek(self._at[place])
        return Line(*(_text(self._file.readline()) for _ in Line._fields))


def _text(line: bytes) -> str:
    return line[:-1].decode("utf-8", "surrogatepass")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
