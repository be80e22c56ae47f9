"""`LocalCommand`: the servers of a recipe on this host, started by the command ``assay`` in a process of its own.

The client imports nothing of the servers. They end when the client is closed or dropped, or with the process that
started them, however it ends: the command is told by the kernel.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer_client._errors import ServerUnavailableError
from trainer_client.recipe.recipe import Recipe

_NAME = "local"
_GRACE_S = 5
_POLL_S = 0.02
_STILL_STARTING_S = 30.0
_LINES_KEPT = 50

logger = logging.getLogger("trainer_client")


class LocalCommand:
    """The command that runs the servers.

    Args:
        recipe: the recipe.
        path: the file that it was read from, which settings files are relative to; None for one made in code, whose
            settings files are relative to the current folder.

    Raises:
        ServerUnavailableError: the servers are not installed here.
    """

    def __init__(self, recipe: Recipe, path: str | None) -> None:
        self._recipe = recipe
        self._path = os.path.abspath(path) if path is not None else None
        self._folder = os.getcwd()
        self._command = _command()
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._endpoints: dict[str, tuple[str, ...]] | None = None
        _commands.add(self)

    def __getstate__(self) -> dict[str, object]:
        return {"_recipe": self._recipe, "_path": self._path, "_folder": self._folder, "_endpoints": self._endpoints}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _command=_command(), _lock=threading.Lock(), _process=None, _owner=os.getpid())
        _commands.add(self)

    def endpoints(self) -> dict[str, tuple[str, ...]]:
        """Addresses by name of server. The first call starts the servers and waits until all of them answer.

        A copy of the client, in a forked process or out of a pickle, uses the servers of the first.

        Raises:
            ServerUnavailableError: a server cannot be started. The message quotes the server.
        """
        with self._lock:
            if self._endpoints is None:
                self._endpoints = self._start()
            return self._endpoints

    def forget(self) -> None:
        """After a fork, in the child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def _start(self) -> dict[str, tuple[str, ...]]:
        with tempfile.TemporaryDirectory(prefix="assay-local-") as folder:
            recipe = Path(self._path) if self._path is not None else Path(folder) / "recipe.toml"
            if self._path is None:
                recipe.write_text(_toml(self._recipe, self._folder), "utf-8")
            endpoints_file = Path(folder) / "endpoints.json"
            output: deque[str] = deque(maxlen=_LINES_KEPT)
            self._spawn([*self._command, "up", str(recipe), "--endpoints-file", str(endpoints_file), *_OPTIONS], output)
            began = time.monotonic()
            while not endpoints_file.exists():
                if self._process is None or self._process.poll() is not None:
                    raise ServerUnavailableError(_NAME, _reason(output))
                if time.monotonic() - began > _STILL_STARTING_S:
                    logger.warning("the local servers are still starting")
                    began = time.monotonic()
                time.sleep(_POLL_S)
            servers: dict[str, list[str]] = json.loads(endpoints_file.read_text("utf-8"))
        encrypted = {server.name for server in self._recipe.all_servers if not server.endpoints}
        return {
            name: tuple(f"grpc://{address}" if name in encrypted else address for address in addresses)
            for name, addresses in servers.items()
        }

    def _spawn(self, command: list[str], output: deque[str]) -> None:
        def hear(line: str) -> None:
            output.append(line)
            logger.debug("%s", line)

        self._process = spawn_bound(command, hear)

    def close(self) -> None:
        """End the servers, where this process started them; what is under way may finish for a few seconds."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        # The second one tells the command to kill its servers, the third ends it itself; they end with it.
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE_S)
                break
        self._endpoints = None


def spawn_bound(
    command: Sequence[str], hear: Callable[[str], None], *, stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[str]:
    """Start a command of ``assay`` with ``--with-parent``, which the kernel ends with this process.

    Args:
        command: the command.
        hear: called with each line that it writes to standard error, on a thread of its own.
        stdout: where its standard output goes, as `subprocess.Popen` takes it.

    Raises:
        ServerUnavailableError: it cannot be run.
    """
    started = threading.Event()
    failed: list[OSError] = []
    processes: list[subprocess.Popen[str]] = []

    def run() -> None:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                # In a separate process group it gets no Ctrl-C from the terminal, only from this process.
                start_new_session=True,
            )
        except OSError as error:
            failed.append(error)
            started.set()
            return
        processes.append(process)
        started.set()
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                hear(line.rstrip("\n"))
        process.wait()

    # The kernel ends the command when the thread that started it ends: this one lives as long as the command.
    threading.Thread(target=run, name="assay-local-servers", daemon=True).start()
    started.wait()
    if failed:
        raise ServerUnavailableError(_NAME, f"{command[0]} cannot be run: {failed[0].strerror}")
    return processes[0]


_commands: weakref.WeakSet[LocalCommand] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for command in list(_commands):
        command.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)

_OPTIONS = ("--host", "127.0.0.1", "--with-parent", "--plain")


def _command() -> list[str]:
    """How the command is run: by this interpreter where the servers are installed beside the client."""
    if importlib.util.find_spec("reward_servers") is not None:
        return [sys.executable, "-P", "-m", "reward_servers"]
    executable = shutil.which("assay")
    if executable is None:
        raise ServerUnavailableError(
            _NAME,
            "the servers are not installed here; install assay with the extra 'server' (and the extras of its "
            "verifiers), or give the addresses of running servers",
        )
    return [executable]


def _toml(recipe: Recipe, folder: str) -> str:
    """As much of a recipe as its servers need. Texts of JSON are texts of TOML."""
    lines = ['advantage = "none"']
    for number, server in enumerate(recipe.all_servers):
        lines.append(f"[servers.{_text(server.name)}]")
        lines.append(f"verifiers = [{', '.join(map(_text, server.verifiers))}]")
        lines.append(f"endpoints = [{', '.join(map(_text, server.endpoints))}]")
        lines.append(f"replicas = {server.replicas}")
        if server.config is not None:
            lines.append(f"config = {_text(os.path.join(folder, server.config))}")
        lines.append(f"[rewards.r{number}]")
        lines.append(f"verifier = {_text(server.verifiers[0])}")
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value).replace("\x7f", "\\u007f")


def _reason(output: deque[str]) -> str:
    errors = [line.partition("error: ")[2] for line in output if "error: " in line]
    return errors[-1] if errors else f"the command ended: {' / '.join(list(output)[-3:]) or 'it said nothing'}"
