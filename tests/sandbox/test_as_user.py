"""The same as an ordinary user, who has subordinate ids or whose slots all run as that user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_FILES = ("isolation", "languages", "limits", "requests", "user_budgets", "shared_objects", "streams")


@pytest.mark.parametrize("kind", ["own", "shared"])
def test_as_an_ordinary_user(kind: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become a user")
    if kind == "own" and shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is not installed (apt-get install uidmap)")
    command = [sys.executable, "-m", "tests.sandbox._as_user", kind, "-x"]
    done = subprocess.run(
        [*command, *(f"tests/sandbox/test_{name}.py" for name in _FILES)], cwd=_ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
