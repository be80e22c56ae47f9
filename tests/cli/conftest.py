"""Runs the command as users do: as a process, against servers that are processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

COMMAND = [sys.executable, "-P", "-m", "reward_servers"]
PATIENCE = 240.0


def _take_interrupts() -> None:
    """Ctrl-C reaches the command as in a terminal, also where these tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Poll until a condition holds, and give its value."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


class Cli:
    """The command in a working directory, with the probe verifiers installed."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.site = site
        self.env = {**os.environ, "PYTHONPATH": str(site), "PROBE_SEEN": str(folder / "seen")}
        self._started: list[subprocess.Popen[str]] = []

    def run(
        self, *arguments: object, code: int = 0, stdin: IO[str] | None = None, encoding: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.env,
            stdin=stdin,
            capture_output=True,
            text=True,
            encoding=encoding,
            timeout=PATIENCE,
        )
        assert done.returncode == code, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def error(self, *arguments: object) -> str:
        """The one line that a mistake of the user gets."""
        done = self.run(*arguments, code=2)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr.splitlines()[-1]

    def start(self, *arguments: object, log: Path | None = None) -> subprocess.Popen[str]:
        """Start a command; its log goes into a pipe for the test to read, or into a file."""
        stderr = subprocess.PIPE if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            preexec_fn=_take_interrupts,
        )
        if log is not None:
            os.close(stderr)
        self._started.append(process)
        return process

    def serve(self, *names: str) -> str:
        """Start a server and give its address."""
        # A pipe that no one reads would fill up, and the server would wait for ever to write a line.
        log = self.folder / f"serve-{len(self._started)}.log"
        process = self.start("serve", *names, "--workers", "1", log=log)
        line = read_line(process.stdout)
        assert line.startswith("listening on "), line + log.read_text()
        return line.split()[2]

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def rollouts(self, name: str, *rows: Mapping[str, Any]) -> Path:
        lines = [json.dumps({"rollout_id": f"r{i}", "prompt": "q", **row}) for i, row in enumerate(rows)]
        return self.write(name, "\n".join(lines) + "\n")

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=PATIENCE)
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


def read_line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().rstrip("\n")


def read_terminal(ours: int) -> str:
    shown = b""
    with contextlib.suppress(OSError):  # a terminal that is closed at the other end reads as an error
        while data := os.read(ours, 4096):
            shown += data
    os.close(ours)
    return shown.decode()


def servers_of(pid: int) -> list[psutil.Process]:
    """The server processes that a command has started."""
    found = []
    for process in psutil.Process(pid).children():
        try:
            if "serve" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the probe verifiers, announced by entry points."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(Path(__file__).with_name("probe.py"), folder / "assay_probe.py")
    metadata = folder / "assay_probe-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: assay-probe\nVersion: 0.1\nProvides-Extra: rare\n"
        "Requires-Dist: assay-not-there>=1; extra == 'rare'\nRequires-Dist: typer>=1000; extra == 'rare'\n"
        "Requires-Dist: pydantic; extra == 'rare'\n"
    )
    points = {
        "given": "given",
        "share": "share",
        "gain": "gain",
        "length": "length",
        "slow": "slow",
        "down": "down",
        "refuses": "Refuses",
        "crashes": "Crashes",
        "needy": "length [rare]",
    }
    lines = [f"probe/{name} = assay_probe:{attribute}" for name, attribute in points.items()]
    (metadata / "entry_points.txt").write_text("[assay.verifiers]\n" + "\n".join(lines) + "\n")
    return folder


@pytest.fixture
def cli(tmp_path: Path, site: Path) -> Iterator[Cli]:
    command = Cli(tmp_path, site)
    yield command
    command.close()
