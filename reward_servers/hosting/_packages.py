"""Packages that are installed while the server runs."""

from __future__ import annotations

import contextlib
import importlib
import site
import sysconfig
from pathlib import Path


class PackageFolders:
    """The folders that packages are installed into, and the path files in them.

    Python reads path files, by which a package in development is found, once: when it starts.
    """

    def __init__(self) -> None:
        self._read = self._files()

    def follow(self) -> None:
        """Take over what has been installed since."""
        importlib.invalidate_caches()
        now = self._files()
        for file in sorted(now - self._read):
            site.addpackage(str(file[0].parent), file[0].name, None)
        self._read = now

    @staticmethod
    def _files() -> set[tuple[Path, int]]:
        files: set[tuple[Path, int]] = set()
        for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            for file in Path(folder).glob("*.pth"):
                # Python passes over a link that leads nowhere, and so it does here; pip may have removed it meanwhile.
                with contextlib.suppress(OSError):
                    files.add((file, file.stat().st_mtime_ns))
        return files
