"""How many workers a server has by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reward_servers.process import processors


def _groups(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    for name, text in files.items():
        place = folder / name.replace("__", "/").replace("_max", ".max")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (folder / "own").write_text(own)
    return folder, folder / "own"


def test_a_quota_counts_wherever_it_is_set_above(tmp_path: Path) -> None:
    groups = _groups(tmp_path, "0::/pod/server\n", pod__server__cpu_max="max 100000\n", pod__cpu_max="150000 100000\n")
    assert list(processors._quotas(*groups)) == [1.5]


def test_a_group_as_its_container_sees_it(tmp_path: Path) -> None:
    groups = _groups(tmp_path, "0::/kubepods/that/are/not/mounted\n", cpu_max="200000 100000\n")
    assert list(processors._quotas(*groups)) == [2.0]


@pytest.mark.parametrize(("quota", "found"), [("200000", [2.0]), ("-1", [])])
def test_the_older_control_groups(tmp_path: Path, quota: str, found: list[float]) -> None:
    folder = tmp_path / "cpu,cpuacct" / "docker"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text("100000")
    own = tmp_path / "own"
    own.write_text("8:pids:/\n2:cpu,cpuacct:/docker\n0::/\n")
    assert list(processors._quotas(tmp_path, own)) == found


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(processors, "_quotas", lambda: iter(()))
    assert processors.usable_processors() == 3
    monkeypatch.setattr(processors, "_quotas", lambda: iter((1.5, 8.0)))
    assert processors.usable_processors() == 2
