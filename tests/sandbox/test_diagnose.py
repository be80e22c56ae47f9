from __future__ import annotations

from pathlib import Path

import pytest

import sandbox
from sandbox import SandboxConfig


def test_all_is_well_or_has_a_remedy() -> None:
    findings = sandbox.diagnose()
    subjects = {finding.subject for finding in findings}
    assert {"isolation", "memory", "language cpp", "language python", "packages scientific"} <= subjects
    for finding in findings:
        assert finding.detail
        assert finding.ok or finding.remedy


def test_missing_toolchain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    by_subject = {finding.subject: finding for finding in sandbox.diagnose()}
    finding = by_subject["language cpp"]
    assert not finding.ok
    assert finding.remedy == "apt-get install g++"
    assert sandbox.languages() == ("python",)
    with pytest.raises(sandbox.UnsupportedLanguageError, match="apt-get install g"), sandbox.open_sandbox() as box:
        box.prepare(sandbox.Program("cpp", b""))


def test_a_toolchain_that_programs_cannot_see_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "rustc"
    tool.write_text("#!/bin/sh\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sandbox.languages() == ("python",)
    assert "rust" in sandbox.languages(SandboxConfig(read_only=(str(tmp_path),)))
    finding = {finding.subject: finding for finding in sandbox.diagnose()}["language rust"]
    assert (finding.ok, "SandboxConfig.read_only" in finding.remedy) == (False, True)


def test_missing_interpreter_is_a_finding() -> None:
    finding = sandbox.diagnose(SandboxConfig(python="/nowhere/bin/python"))[0]
    assert (finding.subject, finding.ok) == ("isolation", False)
    assert "interpreter" in finding.detail


def test_a_backend_that_is_not_there_is_a_finding_with_a_remedy(tmp_path: Path) -> None:
    """It is none that holds because another one was chosen."""
    findings = sandbox.diagnose(SandboxConfig(docker_host=f"unix://{tmp_path}/none.sock"))
    by_subject = {finding.subject: finding for finding in findings}
    assert by_subject["isolation"].ok
    assert by_subject["backend ns"].ok
    assert not by_subject["backend docker, runc"].ok
    assert by_subject["backend docker, runc"].remedy
