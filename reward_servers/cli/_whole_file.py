"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Opens a file for writing text; it takes its place when the block ends, and not when it fails.

    Raises:
        OSError: The file cannot be written.
    """
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", errors="backslashreplace", dir=path.parent, prefix=f"{path.name}.", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            # A temporary file is private; the result is as readable as the user's other files.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(file.name, 0o666 & ~mask)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
