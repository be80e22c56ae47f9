"""Runs pytest as an ordinary user: `python -m tests.sandbox._as_user own|shared PYTEST-ARGUMENT...`, started by root.

own: the user has subordinate ids; shared: it has none, so all slots run as that user.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from tests.attacks._people import become_user, visible_python

_ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Become the user and run."""
    kind, *arguments = sys.argv[1:]
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    places = sysconfig.get_path("purelib")
    become_user(sub_ids=kind == "own")
    os.chdir(_ROOT)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join((str(_ROOT), places, packages)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    python = visible_python()
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    os.execve(python, command, environment)


if __name__ == "__main__":
    main()
