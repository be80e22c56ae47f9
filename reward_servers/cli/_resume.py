"""``assay score --resume``: what a run has scored is kept beside its output, and not scored again.

``OUT.partial`` is JSON Lines: the first says what was asked of whom, each other one holds a whole group and a
checksum of it and of the first line. A line that the end of a process has cut off is dropped; a file
that is damaged otherwise is refused. A group is taken only where its rollouts are the same.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError, writing_at
from reward_servers.cli._whole_file import STDOUT, partial_place
from trainer_client import AsyncRewardClient, IncompleteBatchError, Recipe, Rollout, ScoreTable
from trainer_client.result.checkpoint import keep_rows, restore_rows, take_rows
from trainer_client.result.rows import rollout_fields
from trainer_client.result.verifiers import Wait

_FAMILY = "assay.partial."
_FORMAT = f"{_FAMILY}2"
_HEAD = b'{"format": "' + _FORMAT.encode() + b'"'
"""How the first line begins."""
_SUM = b'{"sha256": "'
"""How the line of a group begins; the checksum follows."""
_SUM_SIZE = 64
_GAP = b'", '


class Partial:
    """The groups that are scored already.

    Args:
        path: The file.
        recipe: What is asked.

    Attributes:
        path: The file.
        taken: Rollouts that were not scored again.
    """

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self._recipe = recipe
        self._file: IO[bytes] | None = None
        self._header = b""
        self._places: dict[str, tuple[int, int]] = {}
        self.taken = 0

    def open(self, verifiers: Mapping[str, str]) -> None:
        """Read what is there, and refuse what was asked otherwise.

        Args:
            verifiers: Digest by reward, as the servers host them now.

        Raises:
            UserError: The file is of another recipe or of other verifiers, is damaged, or another run has it.
            OSError: It cannot be written.
        """
        fields = {"format": _FORMAT, "recipe": self._recipe.digest, "verifiers": dict(verifiers)}
        self._file = _own(self.path)
        header, first = json.dumps(fields).encode() + b"\n", self._file.readline()
        self._header = header
        # What is there of a line that was cut off is replaced, and nothing else is: less of it may be another's.
        if not first or (first != header and header.startswith(first) and first.startswith(_HEAD)):
            with writing_at(self.path):
                self._file.seek(0)
                self._file.truncate()
                self._file.write(header)
                self._file.flush()
            return
        self._refuse_others(first, fields)
        self._header = first
        for at, line in self._lines(self._file, len(first)):
            self._places[self._read(line, at)["group"]] = (at, len(line))

    def _lines(self, file: IO[bytes], at: int) -> Iterator[tuple[int, bytes]]:
        """Whole lines and where they begin; what is cut off is removed."""
        while line := file.readline():
            if not line.endswith(b"\n") and (line.startswith(_SUM) or _SUM.startswith(line)):
                file.truncate(at)
                return
            yield at, line
            at += len(line)

    def _read(self, line: bytes, at: int) -> dict[str, Any]:
        """The group of a line.

        Raises:
            UserError: It is not what a run has written.
        """
        end = len(_SUM) + _SUM_SIZE
        if line == _summed(self._header, b"{" + line[end + len(_GAP) :].removesuffix(b"\n")):
            group: dict[str, Any] = json.loads(line)
            return group
        raise UserError(
            f"{self.path}: the data at byte {at} is not a group of this run, or was changed (its checksum differs); "
            "nothing of the file is taken; remove it to begin again"
        )

    def _refuse_others(self, first: bytes, fields: Mapping[str, Any]) -> None:
        header = _header_of(first)
        if header is None:
            raise UserError(f"{self.path}: this file was not written by --resume; choose another --out, or remove it")
        if header["format"] != _FORMAT:
            raise UserError(
                f"{self.path}: another version of assay wrote it ({header['format']}, and this one writes {_FORMAT}); "
                "go on with that version, or remove the file to begin again"
            )
        if header["recipe"] != fields["recipe"]:
            raise UserError(
                f"{self.path}: it was scored with another recipe ({header['recipe']}, and this one is "
                f"{fields['recipe']}); use that recipe, or remove the file to begin again"
            )
        for name, digest in fields["verifiers"].items():
            if header["verifiers"].get(name) != digest:
                raise UserError(
                    f"{self.path}: {name} was judged by {header['verifiers'].get(name)}, and the server hosts "
                    f"{digest}; host that version, or remove the file to begin again"
                )

    def find(self, group: Sequence[Rollout], step: int) -> Mapping[str, Any] | None:
        """What is kept of a group; None where it was not scored whole."""
        place = self._places.get(_key(group, step))
        if place is None or self._file is None:
            return None
        self._file.seek(place[0])
        return self._read(self._file.read(place[1]), place[0])

    def keep(self, groups: Sequence[tuple[Sequence[Rollout], Mapping[str, Any]]], step: int) -> None:
        """Add groups that were scored, and see that they outlive the process."""
        assert self._file is not None
        with writing_at(self.path):
            at = self._file.seek(0, os.SEEK_END)
            for group, rows in groups:
                key = _key(group, step)
                line = _summed(self._header, json.dumps({"group": key, **rows}).encode())
                self._places[key] = (at, len(line))
                self._file.write(line)
                at += len(line)
            self._file.flush()

    def close(self, *, remove: bool) -> None:
        """Let go of the file, and remove it where the results have taken its place."""
        if self.taken:
            print_note(f"{self.path}: {self.taken} rollouts were scored before, and not again")
        if self._file is not None:
            self._file.close()
            self._file = None
            if remove:
                self.path.unlink(missing_ok=True)


class ResumingClient:
    """Scores as a client does, but for groups that are kept.

    Args:
        client: The client.
        partial: What is kept.
    """

    def __init__(self, client: AsyncRewardClient, partial: Partial) -> None:
        self._client = client
        self._partial = partial
        self._floors: dict[int, float] = {}

    @classmethod
    async def of(cls, client: AsyncRewardClient, partial: Partial) -> ResumingClient:
        """Ask the servers what they host, and compare it with what is kept.

        Raises:
            UserError: It is of another recipe, or of other verifiers.
        """
        hosted = await client.describe()
        partial.open({name: info.id.digest for name, info in hosted.items()})
        table = cls(client, partial)
        table._floors = {at: hosted[name].floor for at, name in enumerate(client.recipe.columns) if name in hosted}
        return table

    @property
    def recipe(self) -> Recipe:
        """What is asked."""
        return self._client.recipe

    async def waits(self) -> list[Wait]:
        """What calls under way wait for."""
        return await self._client.waits()

    async def score(self, rollouts: Sequence[Rollout], *, run: str = "", step: int = 0) -> ScoreTable:
        """Score whole groups; see `AsyncRewardClient.score`."""
        groups: dict[str, list[Rollout]] = {}
        for rollout in rollouts:
            groups.setdefault(rollout.group_id, []).append(rollout)
        rows_by_group = {
            name: rows for name, group in groups.items() if (rows := self._partial.find(group, step)) is not None
        }
        left = [rollout for rollout in rollouts if rollout.group_id not in rows_by_group]
        tables = {name: self._restored(groups[name], rows, step) for name, rows in rows_by_group.items()}
        if left:
            table = await self._ask(left, run, step)
            if not rows_by_group:
                return table
            at = 0
            for name, group in groups.items():
                if name not in rows_by_group:
                    tables[name] = take_rows(table, range(at, at + len(group)))
                    at += len(group)
        return ScoreTable.concat([tables[name] for name in groups])

    async def _ask(self, rollouts: Sequence[Rollout], run: str, step: int) -> ScoreTable:
        try:
            table = await self._client.score(rollouts, run=run, step=step)
        except IncompleteBatchError as error:
            table = error.table
        at, done = 0, []
        for _, members in groupby(rollouts, key=lambda rollout: rollout.group_id):
            group = list(members)
            rows = keep_rows(table, range(at, at + len(group)))
            if rows is not None:
                done.append((group, rows))
            at += len(group)
        self._partial.keep(done, step)
        return table

    def _restored(self, group: Sequence[Rollout], rows: Mapping[str, Any], step: int) -> ScoreTable:
        client = self._client
        try:
            table = restore_rows(rows, group, client.recipe, self._floors, client.method, step)
        except ValueError as error:
            raise UserError(f"{self._partial.path}: {error}; remove the file to begin again") from None
        self._partial.taken += len(group)
        return table


def partial_of(place: Path | None, recipe: Recipe, *, resume: bool) -> Partial | None:
    """What ``--resume`` keeps of a run; None where it is not given.

    Raises:
        UserError: There is no file or folder to keep it beside.
    """
    if not resume:
        return None
    if place is None or place == STDOUT:
        raise UserError("--resume: needs --out FILE or --out DIR/, beside which it keeps the scored groups")
    return Partial(partial_place(place), recipe)


def _own(path: Path) -> IO[bytes]:
    """Open a file that no other run has, with its rights, and never through a link that has been put there.

    Raises:
        UserError: Another run has it, or it is no regular file.
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UserError(f"{path}: it is not a regular file; choose another --out, or remove it")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink == 0:
            raise BlockingIOError  # the other has just ended, and removed it
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(f"{path}: another run uses it; wait until it ends, or choose another --out") from None
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "r+b")


def _summed(header: bytes, group: bytes) -> bytes:
    """The line of a group: its JSON, with a checksum of it and of the file's first line in front."""
    digest = sha256(header + group).hexdigest().encode()
    return _SUM + digest + _GAP + group.removeprefix(b"{") + b"\n"


def _header_of(line: bytes) -> dict[str, Any] | None:
    """The first line of a file, as any version writes it; None where it is none."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(header, dict) or not str(header.get("format")).startswith(_FAMILY):
        return None
    is_whole = isinstance(header.get("recipe"), str) and isinstance(header.get("verifiers"), dict)
    return header if is_whole or header["format"] != _FORMAT else None


def _key(group: Sequence[Rollout], step: int) -> str:
    """The name of a group, by everything that its rollouts hold, and by the step, which options may follow."""
    digest = sha256(f"{step}\n".encode())
    for rollout in group:
        digest.update(json.dumps(rollout_fields(rollout), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
