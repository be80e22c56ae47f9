from __future__ import annotations

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
    with pytest.raises(sandbox.UnsupportedLanguage, match="apt-get install g"), sandbox.open_sandbox() as box:
        box.prepare(sandbox.Program("cpp", b""))


def test_missing_interpreter_is_a_finding() -> None:
    finding = sandbox.diagnose(SandboxConfig(python="/nowhere/bin/python"))[0]
    assert (finding.subject, finding.ok) == ("isolation", False)
    assert "interpreter" in finding.detail
