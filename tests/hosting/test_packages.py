"""Path files of packages that are installed while the server runs."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from reward_servers.hosting._packages import PackageFolders


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed into; sys.path is put back."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(installed))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return installed


def test_a_path_file_that_leads_nowhere_is_passed_over_until_it_leads_somewhere(folder: Path, tmp_path: Path) -> None:
    code, target = tmp_path / "code", tmp_path / "later.pth"
    code.mkdir()
    (folder / "dangling.pth").symlink_to(target)
    folders = PackageFolders()
    folders.follow()
    assert str(code) not in sys.path
    target.write_text(f"{code}\n")
    folders.follow()
    assert str(code) in sys.path


def test_a_path_file_that_goes_while_it_is_looked_at_stops_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (folder / "gone.pth").write_text("")
    folders = PackageFolders()
    (folder / "new.pth").write_text(f"{code}\n")
    find = Path.glob

    def find_and_remove(place: Path, pattern: str) -> list[Path]:
        found = list(find(place, pattern))
        (folder / "gone.pth").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "glob", find_and_remove)
    folders.follow()
    assert str(code) in sys.path
