"""Bad requests, the life of a slot, and its errors."""

from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest

import sandbox
from sandbox import (
    CompileFailure,
    Limits,
    Prepared,
    Program,
    ProgramRefusedError,
    Sandbox,
    SandboxClosedError,
    SandboxConfig,
    SandboxInternalError,
    SandboxUnavailableError,
    UnsupportedLanguageError,
)
from tests.sandbox.conftest import Runner

_NAMES = (
    "../x",
    "/etc/passwd",
    "x/../../y",
    "",
    ".",
    "a//b",
    "a/./b",
    "a\0b",
    "main.py",
    "x" * 300,
    "/".join("a" * 40),
)


@pytest.mark.parametrize("name", _NAMES)
def test_file_names_that_leave_the_box(box: Sandbox, name: str) -> None:
    with pytest.raises(ProgramRefusedError):
        box.prepare(Program("python", b"", files={name: b"x"}))


def test_file_names_that_collide(box: Sandbox) -> None:
    for files in ({"a": b"", "a/b": b""}, {"main.py/x": b""}, {"\udc80": b""}):
        with pytest.raises(ProgramRefusedError):
            box.prepare(Program("python", b"", files=files))


def test_another_process_cannot_use_it(box: Sandbox) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            box.close()
            box.prepare(Program("python", b""))
        except RuntimeError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert isinstance(box.prepare(Program("python", b"")), Prepared)


def test_unusable_programs(box: Sandbox) -> None:
    with pytest.raises(UnsupportedLanguageError):
        box.prepare(Program("cobol", b""))
    with pytest.raises(UnsupportedLanguageError):
        box.prepare(Program("bash", b"", driver=b"pass"))
    with pytest.raises(ProgramRefusedError):
        box.prepare(Program("python", b"x" * (50 << 20)))
    with pytest.raises(ProgramRefusedError):
        box.prepare(Program("python", b"", preload="everything"))


def test_source_larger_than_the_disk_limit(run: Runner) -> None:
    prepared = run.prepare(b"#" * (2 << 20))
    with pytest.raises(ProgramRefusedError):
        run.box.run(prepared, limits=Limits(disk_bytes=1 << 20))
    assert run.box.run(prepared, limits=Limits()).ok


@pytest.mark.parametrize("field", ["cpu_s", "wall_s", "memory_bytes", "processes", "files"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan")])
def test_limits_must_be_positive(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})  # type: ignore[arg-type]


def test_backends_and_settings() -> None:
    with pytest.raises(ValueError, match="jail"):
        sandbox.open_sandbox("jail")
    with pytest.raises(ValueError, match="cgroup"):
        sandbox.open_sandbox(config=SandboxConfig(cgroup="maybe"))
    with pytest.raises(SandboxUnavailableError, match="interpreter"):
        sandbox.open_sandbox(config=SandboxConfig(python="/nowhere/bin/python"))


def test_tool_that_is_not_shown_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = tmp_path / "bash"
    shell.write_bytes(Path("/bin/bash").read_bytes())
    shell.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr("sandbox._languages._which", lambda _: str(shell))  # one outside the distribution's places
    program = Program("bash", b"echo $BASH")
    with sandbox.open_sandbox() as box, pytest.raises(UnsupportedLanguageError, match="read_only"):
        box.prepare(program)
    (finding,) = (finding for finding in sandbox.diagnose() if finding.subject == "language bash")
    assert not finding.ok
    assert "read_only" in finding.remedy


def test_program_that_cannot_be_started_is_our_failure(box: Sandbox) -> None:
    prepared = box.prepare(Program("bash", b"echo"))
    assert isinstance(prepared, Prepared)
    box._artefacts[prepared.key].tool = "/usr/bin/nowhere"  # type: ignore[attr-defined]
    with pytest.raises(SandboxInternalError, match="exec"):
        box.run(prepared, limits=Limits())


def test_prepared_belongs_to_its_sandbox(box: Sandbox, run: Runner) -> None:
    prepared = run.prepare("print(1)")
    with sandbox.open_sandbox() as other, pytest.raises(ValueError, match="not prepared"):
        other.run(prepared, limits=Limits())
    box.discard(prepared)
    with pytest.raises(ValueError, match="discarded"):
        box.run(prepared, limits=Limits())


def test_errors_survive_pickling() -> None:
    for error in (
        SandboxUnavailableError("proc", "unmask it", "EPERM"),
        SandboxInternalError("zygote", "gone"),
        SandboxClosedError("closed"),
        UnsupportedLanguageError("cobol", "learn"),
        ProgramRefusedError("too large"),
    ):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_close_ends_a_run_in_progress() -> None:
    opened = sandbox.open_sandbox()
    prepared = opened.prepare(Program("python", b"import time; time.sleep(3600)"))
    assert isinstance(prepared, Prepared)
    threading.Timer(0.2, opened.close).start()
    with pytest.raises(SandboxClosedError):
        opened.run(prepared, limits=Limits(wall_s=3600))
    opened.close()
    with pytest.raises(SandboxClosedError):
        opened.prepare(Program("python", b""))


def test_close_ends_a_compilation_in_progress() -> None:
    opened = sandbox.open_sandbox()
    threading.Timer(0.2, opened.close).start()
    source = b"x = [" + b"((((1,),),),)," * 1_000_000 + b"]"

    def prepare_for_ever() -> None:
        while True:
            opened.prepare(Program("python", source))

    with pytest.raises(SandboxClosedError):
        prepare_for_ever()


def test_session(run: Runner) -> None:
    driver = b"while (m := receive()) is not None: send(m[::-1])\nprint('end')"
    prepared = run.prepare("", driver=driver)
    session = run.box.start(prepared, limits=Limits())
    for message in (b"abc", b"", b"x" * 3_000_000):
        session.send(message)
        assert session.receive() == message[::-1]
    with pytest.raises(TimeoutError):
        session.receive(0.05)
    result = session.finish()
    assert (result.exit_code, result.stdout) == (0, b"end\n")
    with pytest.raises(SandboxClosedError):
        session.send(b"late")


def test_session_that_ends_early(run: Runner) -> None:
    prepared = run.prepare("", driver=b"receive(); raise SystemExit(3)")
    session = run.box.start(prepared, limits=Limits())
    session.send(b"x")
    assert session.receive() is None
    with pytest.raises(EOFError):
        session.send(b"y")
    assert session.finish().exit_code == 3


def test_session_with_a_message_too_large(run: Runner) -> None:
    prepared = run.prepare("", driver=b"send(b'x' * 100000)\nreceive()")
    session = run.box.start(prepared, limits=Limits(reply_bytes=1000))
    assert session.receive() is None
    assert session.finish().reply_truncated


def test_session_holds_the_slot(run: Runner) -> None:
    prepared = run.prepare("", driver=b"receive()")
    session = run.box.start(prepared, limits=Limits())
    with pytest.raises(RuntimeError, match="session"):
        run.box.run(prepared, limits=Limits())
    assert session.finish(kill=True).signal == 9
    assert isinstance(run.box.prepare(Program("python", b"(")), CompileFailure)


def test_two_slots_side_by_side(run: Runner) -> None:
    """A proxy: what one program sends, the other one receives."""
    with sandbox.open_sandbox() as other:
        one = run.box.start(run.prepare("", driver=b"send(receive() + b'1')"), limits=Limits())
        made = other.prepare(Program("python", b"", driver=b"send(receive() + b'2')"))
        assert isinstance(made, Prepared)
        two = other.start(made, limits=Limits())
        one.send(b"0")
        two.send(one.receive() or b"")
        assert two.receive() == b"012"
        assert one.finish().ok
        assert two.finish().ok
