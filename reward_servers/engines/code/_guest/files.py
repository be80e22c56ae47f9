"""Files that test code and program share, although each has a file system of its own.

    Shared   knows the files below /tmp on this side, tells what has changed, and carries out what the other side tells

Both sides work at the same path, so names mean the same on either. What was there at the start (the program's own
text) is not shared. Contents are data: on the side of the test code nothing below /tmp can be imported.
"""

from __future__ import annotations

import base64
import os
import stat
import sys
from typing import Any

_ROOT = "/tmp"  # noqa: S108 - of the sandbox
_MOST_BYTES = 2 << 20
_MOST_FILES = 2_000
_scan, _open, _read, _write, _close = os.scandir, os.open, os.read, os.write, os.close
_lstat, _unlink, _mkdir, _rmdir, _getcwd, _chdir = os.lstat, os.unlink, os.mkdir, os.rmdir, os.getcwd, os.chdir


class TooMuchStoredError(OSError):
    """More is stored than can be shared."""


class SharedFiles:
    """The files of one side."""

    def __init__(self) -> None:
        self._ours = frozenset(self._look())
        self._known: dict[str, int | None] = {}
        self._directory = _getcwd()

    def _look(self) -> dict[str, bytes | None]:
        """The files with their contents, and the directories. A clock of the file system would be too coarse."""
        contents: dict[str, bytes | None] = {}
        waiting, size = [_ROOT], 0
        while waiting:
            try:
                with _scan(waiting.pop()) as entries:
                    for entry in entries:
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISDIR(status.st_mode):
                            contents[entry.path] = None
                            waiting.append(entry.path)
                        elif stat.S_ISREG(status.st_mode):
                            size += status.st_size
                            contents[entry.path] = _content(entry.path) if size <= _MOST_BYTES else b""
            except OSError:
                continue
            if len(contents) > _MOST_FILES or size > _MOST_BYTES:
                raise TooMuchStoredError("more than can be shared is stored below /tmp")
        return contents

    def _shared(self) -> dict[str, bytes | None]:
        return {path: content for path, content in self._look().items() if path not in self._ours}

    def changes(self) -> dict[str, Any] | None:
        """What has changed since the last time, None if nothing has."""
        now = self._shared()
        states = {path: None if content is None else hash(content) for path, content in now.items()}
        changed = sorted(path for path, state in states.items() if self._known.get(path, self) != state)
        deleted = sorted(self._known.keys() - now.keys(), reverse=True)
        directory = _getcwd()
        if not changed and not deleted and directory == self._directory:
            return None
        self._known, self._directory = states, directory
        contents = {path: None if (data := now[path]) is None else base64.b64encode(data).decode() for path in changed}
        return {"written": contents, "gone": deleted, "directory": directory}

    def apply(self, changes: Any) -> None:
        """Carry out the other side's changes, in so far as they are well formed."""
        if not isinstance(changes, dict):
            return
        for path in changes.get("gone", ()):
            if self._is_shared(path):
                _remove(path)
        for path, content in changes.get("written", {}).items():
            if self._is_shared(path):
                _store(path, content)
        directory = str(changes.get("directory"))
        if self._is_shared(directory) or directory == f"{_ROOT}/box":
            try:
                _chdir(directory)
                self._directory = directory
            except OSError:
                pass
        now = self._shared()
        self._known = {path: None if content is None else hash(content) for path, content in now.items()}

    def _is_shared(self, path: Any) -> bool:
        parts = path.split("/") if isinstance(path, str) else []
        return (
            parts[:2] == ["", "tmp"]
            and len(parts) > 2
            and not {"", ".", ".."}.intersection(parts[1:])
            and "\0" not in path
            and path not in self._ours
        )


def _content(path: str) -> bytes:
    descriptor = _open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while part := _read(descriptor, 1 << 20):
            parts.append(part)
    finally:
        _close(descriptor)
    return b"".join(parts)


def _store(path: str, content: Any) -> None:
    try:
        if content is None:
            _mkdir(path)
            return
        data = base64.b64decode(content)
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    except (OSError, ValueError, TypeError):
        return
    try:
        while data:
            data = data[_write(descriptor, data) :]
    finally:
        _close(descriptor)


def _remove(path: str) -> None:
    try:
        if stat.S_ISDIR(_lstat(path).st_mode):
            _rmdir(path)
        else:
            _unlink(path)
    except OSError:
        pass


def import_nothing_from_files() -> None:
    """Keep what the program writes from being imported on this side."""

    class Nothing:
        def __init__(self, path: str) -> None:
            if not os.path.realpath(path).startswith(_ROOT):
                raise ImportError

        def find_spec(self, *_: Any) -> None:
            return None

    sys.path[:] = [place for place in sys.path if place and not os.path.realpath(place).startswith(_ROOT)]
    sys.path_hooks.insert(0, Nothing)
    sys.path_importer_cache.clear()
