"""Path files of packages that are installed while the server runs."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from tests.hosting.conftest import Host, register


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are installed into."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(folder))
    monkeypatch.setattr(sys, "path", list(sys.path))
    return folder


async def test_a_path_file_that_leads_nowhere_stops_no_server_and_counts_once_it_leads_somewhere(
    host: Host, installed: Path, tmp_path: Path
) -> None:
    code, target = tmp_path / "code", tmp_path / "later.pth"
    code.mkdir()
    (installed / "dangling.pth").symlink_to(target)
    host.write("plan_r")
    async with host.serving() as server:
        assert str(code) not in sys.path
        target.write_text(f"{code}\n")
        await register(server.address, "plan_r:plan")
        assert str(code) in sys.path


async def test_a_path_file_that_goes_while_it_is_looked_at_stops_no_registration(
    host: Host, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, going = Path.glob, installed / "going.pth"

    def find_and_remove(folder: Path, pattern: str) -> list[Path]:
        found = list(find(folder, pattern))
        going.unlink(missing_ok=True)
        return found

    host.write("plan_s")
    async with host.serving() as server:
        going.write_text("")
        monkeypatch.setattr(Path, "glob", find_and_remove)
        assert (await register(server.address, "plan_s:plan")).verifier.identity.name == "acme/plan"
        assert not going.exists()
