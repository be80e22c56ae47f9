"""The batch script alone, where servers, file systems and Slurm misbehave: what it lists, starts again and says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.deploy.docker import wait_for

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "slurm" / "assay.sbatch"
PATIENCE = 240.0
SERVING = 'echo "listening on 0.0.0.0:50051 verifiers=exact"\n'
UNTIL_TOLD = "trap 'exit 0' TERM\nwhile :; do sleep 0.1; done\n"
SERVER_THAT_CRASHES_ONCE = f'if mkdir "$FOLDER/crashed"; then exit 70; fi\n{SERVING}{UNTIL_TOLD}'
SERVER_THAT_ENDS_AFTER_ITS_LINE = f"{SERVING}exit 2\n"
FILE_SYSTEM_WITHOUT_LOCKS = 'echo "flock: 9: Function not implemented" >&2\nexit 71\n'
SLOW_NAME_OF_THE_HOST = 'touch "$FOLDER/asked"\nsleep 2\necho host\n'
SLURM_THAT_REFUSES = 'echo "slurm_requeue error: Job/step already completing or completed" >&2\nexit 1\n'


class Script:
    """The script in a folder of its own; programs that misbehave come before the host's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "exact.json"
        self.parts = folder / "exact.json.7"
        self._programs = folder / "programs"
        self._programs.mkdir()
        self._log: IO[bytes] = (folder / "log").open("wb")
        self._started: list[subprocess.Popen[bytes]] = []
        self.program("hostname", "echo host\n")

    def program(self, name: str, text: str) -> None:
        path = self._programs / name
        path.write_text(f"#!/bin/bash\n{text}")
        path.chmod(0o755)

    def start(self, server: str, **more: str) -> subprocess.Popen[bytes]:
        """Start it as task 0 of array 7, with a server of these lines."""
        self.program("server", f'echo "$@" >> "$FOLDER/arguments"\n{server}')
        ours = {
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "FOLDER": str(self.folder),
            "ASSAY_PYTHON": str(self._programs / "server"),
            "VERIFIERS": "exact",
            "SLURM_JOB_ID": "8",
            "SLURM_ARRAY_JOB_ID": "7",
            "SLURM_ARRAY_TASK_ID": "0",
        }
        told = {"ENDPOINTS": str(self.file), **more}
        others = {key: value for key, value in os.environ.items() if key not in ("NAME", "REGISTRY", "OPTIONS")}
        process = subprocess.Popen(
            ["/bin/bash", str(SCRIPT)],
            env={**others, **ours, **told},
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the end of the script and of all that it has started and that may still write.

        Returns:
            Its exit code.
        """
        process.communicate(timeout=PATIENCE)
        return process.returncode

    def listed(self) -> list[str]:
        """Addresses in the file."""
        assert not self.file.is_symlink(), "the cut file has taken its place"
        return json.loads(self.file.read_text())["exact"] if self.file.exists() else []

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def arguments(self) -> list[str]:
        """Of each start of the server."""
        path = self.folder / "arguments"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._log.close()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Script]:
    """The script, with nothing that runs at the end."""
    made = Script(tmp_path)
    yield made
    made.close()


def test_a_full_disk_leaves_the_file_as_it_was_and_the_address_comes_when_there_is_room(script: Script) -> None:
    script.file.write_text('{"exact": ["other:1"]}')
    script.parts.mkdir()
    (script.parts / "1").write_text('"other:1"\n')
    for name in ("exact.json.next", "exact.json.next.8"):
        (script.folder / name).symlink_to("/dev/full")
    process = script.start(SERVING + UNTIL_TOLD)
    wait_for(lambda: "No space left on device" in script.log(), "the full disk")
    assert "other:1" in script.listed()
    wait_for(lambda: sorted(script.listed()) == ["host:50051", "other:1"], "both addresses")
    assert f"{script.file}: could not be written" in script.log()
    assert not (script.folder / "exact.json.next.8").is_symlink()
    process.terminate()
    assert script.end(process) == 0
    assert script.listed() == ["other:1"]


def test_a_part_that_cannot_be_written_is_written_later(script: Script) -> None:
    script.parts.mkdir()
    (script.parts / "0.next.8").symlink_to("/dev/full")
    process = script.start(SERVING + UNTIL_TOLD)
    wait_for(lambda: script.listed() == ["host:50051"], "the address")
    assert f"{script.parts}/0: could not be written" in script.log()
    process.terminate()
    assert script.end(process) == 0
    assert script.listed() == []


def test_a_server_that_ends_right_after_its_line_is_not_listed(script: Script) -> None:
    script.program("hostname", SLOW_NAME_OF_THE_HOST)
    assert script.end(script.start(SERVER_THAT_ENDS_AFTER_ITS_LINE)) == 2
    assert script.listed() == []


def test_one_that_is_told_to_drain_at_its_line_is_not_listed(script: Script) -> None:
    script.program("hostname", SLOW_NAME_OF_THE_HOST)
    process = script.start(SERVING + UNTIL_TOLD)
    wait_for((script.folder / "asked").exists, "the server's line")
    process.terminate()
    assert script.end(process) == 0
    assert script.listed() == []


def test_a_server_that_crashes_is_started_again(script: Script) -> None:
    process = script.start(SERVER_THAT_CRASHES_ONCE)
    wait_for(lambda: script.listed() == ["host:50051"] or process.poll() is not None, "the second server")
    assert process.poll() is None, script.log()
    assert "the server has ended with exit code 70; starting it again in 1 s" in script.log()
    process.terminate()
    assert script.end(process) == 0
    assert len(script.arguments()) == 2
    assert script.listed() == []


def test_wrong_settings_are_not_tried_again(script: Script) -> None:
    assert script.end(script.start("exit 2\n")) == 2
    assert len(script.arguments()) == 1


def test_a_job_that_cannot_be_queued_again_has_failed(script: Script) -> None:
    script.program("scontrol", SLURM_THAT_REFUSES)
    process = script.start(SERVING + UNTIL_TOLD)
    wait_for(lambda: script.listed() == ["host:50051"], "the address")
    process.send_signal(signal.SIGUSR1)
    assert script.end(process) == 1
    assert "job 8 could not be queued again" in script.log()


def test_a_file_that_cannot_be_locked_is_refused_before_a_server_starts(script: Script) -> None:
    script.program("flock", FILE_SYSTEM_WITHOUT_LOCKS)
    assert script.end(script.start(SERVER_THAT_ENDS_AFTER_ITS_LINE)) == 1
    assert "give REGISTRY=HOST:PORT in its place" in script.log()
    assert not script.arguments()


def test_what_an_earlier_run_of_a_task_left_is_gone_before_its_server_starts(script: Script) -> None:
    script.file.write_text('{"exact": ["gone:1","other:1"]}')
    script.parts.mkdir()
    (script.parts / "0").write_text('"gone:1"\n')
    (script.parts / "1").write_text('"other:1"\n')
    process = script.start(f'cp "{script.file}" "$FOLDER/seen"\n{UNTIL_TOLD}')
    wait_for(lambda: (script.folder / "seen").exists() and (script.folder / "seen").read_text() != "", "the server")
    assert json.loads((script.folder / "seen").read_text()) == {"exact": ["other:1"]}
    process.terminate()
    assert script.end(process) == 0


def test_the_name_is_told_to_the_registry_too(script: Script) -> None:
    assert script.end(script.start("exit 2\n", NAME="math.v2", REGISTRY="trainer:50040")) == 2
    (arguments,) = script.arguments()
    assert "--registry trainer:50040 --name math.v2" in arguments


def test_a_name_that_json_would_not_hold_is_refused(script: Script) -> None:
    assert script.end(script.start("exit 2\n", NAME='ma"th')) == 2
    assert "NAME=ma\"th: a server's name has letters, digits" in script.log()
    assert not script.arguments()
