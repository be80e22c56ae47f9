"""Where the isolation is not to be had, nothing is run: the step and the remedy are named."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.attacks._people import become_user, visible_python
from tests.sandbox._denied import KINDS

_ROOT = Path(__file__).resolve().parents[2]
_STEPS = {
    "user_namespace": ("user_namespace",),
    "proc": ("proc",),
    "mount": ("private_mounts",),
    "seccomp": ("seccomp",),
    "architecture": ("architecture",),
}


def _open(kind: str, who: str) -> subprocess.CompletedProcess[str]:
    first_as_root = KINDS[kind][1]
    python = sys.executable if who == "root" or first_as_root else visible_python()
    packages = sysconfig.get_path("purelib")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{_ROOT}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, "-m", "tests.sandbox._denied", kind, who],
        cwd=_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=become_user if who == "user" and not first_as_root else None,
    )


@pytest.mark.parametrize("who", ["root", "user"])
@pytest.mark.parametrize("kind", KINDS)
def test_refuses(kind: str, who: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can set up the denials for itself and for a user")
    done = _open(kind, who)
    assert done.returncode == 3, done
    step, remedy, *_ = done.stdout.splitlines()
    assert step in _STEPS[kind]
    assert remedy.endswith(".")
