"""Control groups: version 1 as this host has it, version 2 against a directory that looks like one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sandbox import SandboxConfig, SandboxUnavailableError, open_sandbox
from sandbox._ns import _cgroup

_V2_FILES = {
    "cgroup.procs": "",
    "memory.max": "max",
    "memory.swap.max": "max",
    "memory.peak": "5000",
    "memory.current": "1000",
    "memory.events": "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\noom_group_kill 0\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\nsystem_usec 2\n",
}


def _fake_v2(path: str) -> None:
    os.mkdir(path)
    for name, text in _V2_FILES.items():
        Path(path, name).write_text(text)


def test_version_2_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cgroup, "_make", _fake_v2)
    group = _cgroup.Group(_cgroup.Hierarchy("cgroup_v2", str(tmp_path), str(tmp_path)))
    (directory,) = map(Path, group.paths)
    group.begin(100 << 20)
    assert int((directory / "memory.max").read_text()) == 132 << 20
    assert (directory / "memory.swap.max").read_text() == "0"
    assert group.has_clock
    assert not group.killed_for_memory()
    (directory / "memory.events").write_text(_V2_FILES["memory.events"].replace("oom_kill 1", "oom_kill 2"))
    (directory / "cpu.stat").write_text("usage_usec 3000000\n")
    (directory / "memory.peak").write_text("9000")
    assert group.killed_for_memory()
    assert group.cpu_s() == pytest.approx(0.5)
    assert group.peak_bytes() == 8000
    group.close()


def test_version_2_needs_the_memory_controller(tmp_path: Path) -> None:
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu pids\n")
    os.chmod(control, 0o444)
    assert _cgroup._find_v2(str(tmp_path / "absent")) is None
    control.chmod(0o644)
    control.write_text("cpu memory pids\n")
    assert _cgroup._find_v2(str(tmp_path)) == _cgroup.Hierarchy("cgroup_v2", str(tmp_path), str(tmp_path))


def test_groups_are_removed() -> None:
    hierarchy = _cgroup.find()
    if hierarchy is None:
        pytest.skip("no cgroup is delegated to this user")
    group = _cgroup.Group(hierarchy)
    assert all(map(os.path.isdir, group.paths))
    group.close()
    group.remove()
    assert not any(map(os.path.isdir, group.paths))


def test_groups_of_the_dead_are_swept() -> None:
    hierarchy = _cgroup.find()
    if hierarchy is None:
        pytest.skip("no cgroup is delegated to this user")
    gone = subprocess.Popen(["true"])
    gone.wait()
    stale = f"{hierarchy.memory}/{_cgroup._prefix()}{gone.pid}-0"
    os.mkdir(stale)
    live = _cgroup.Group(hierarchy)
    assert _cgroup.find() == hierarchy
    assert not os.path.exists(stale)
    assert all(map(os.path.isdir, live.paths))
    live.close()
    live.remove()


def test_a_cgroup_can_be_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cgroup, "find", lambda parent=None: None)
    with pytest.raises(SandboxUnavailableError) as caught:
        open_sandbox(config=SandboxConfig(cgroup="require"))
    assert caught.value.step == "cgroup"
    with open_sandbox(config=SandboxConfig(cgroup="off")) as box:
        assert box.report.memory_bound == "per_process"
        assert box.report.cpu_clock == "proc"
