"""The unit is what systemd takes, but for a key that came with systemd 254."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "assay@.service"


def verify(folder: Path, text: str) -> list[str]:
    """What systemd finds wrong with the unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = folder / "assay@.service"
    # Where the documented steps have put the interpreter on a host.
    unit.write_text(text.replace("/opt/assay/bin/python", sys.executable))
    line = ["systemd-analyze", "verify", "--man=no", str(folder / "assay@math.service")]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    return [said for said in done.stderr.splitlines() if "DelegateSubgroup" not in said]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert verify(tmp_path, UNIT.read_text()) == []


def test_a_misspelt_key_is_noticed(tmp_path: Path) -> None:
    assert any("ExecStrat" in said for said in verify(tmp_path, UNIT.read_text().replace("ExecStart=", "ExecStrat=")))
