"""A container of the engine: made, started, talked to, and gone for certain."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import signal
import socket
import struct
import subprocess
import tarfile
import time
from collections.abc import Collection
from typing import Any, NamedTuple

from sandbox._docker import _message, _plain
from sandbox._errors import SandboxInternalError, SandboxUnavailableError
from sandbox._inside import _contained, _rootfs
from sandbox._ns._packages import Interpreter
from sandbox._ns._probe import WORK_COST
from sandbox._types import MIB, SandboxConfig

_IMAGE = "assay-sandbox"
_USUAL_ADDRESS = "unix:///var/run/docker.sock"
_LABEL, _EXPIRES = "assay.sandbox", "assay.sandbox.expires"
_GRACE_S = 3600.0
_START_S = 60.0
_CALIBRATIONS = 3
_MARGIN_BYTES = 96 * MIB
"""What a container takes beyond the program: its first process, the manager, and what compilers made."""
_ARTEFACT_BYTES = 512 * MIB
_OWN_PROCESSES = 8
_CAPABILITIES = ["DAC_OVERRIDE", "SETGID", "SETPCAP", "SETUID"]
_FIRST_USER, _USERS = 20_000, 20_000
_HEADER = struct.Struct(">BxxxI")  # of what an engine puts in front of each part of a stream
_STDOUT = 1
_ENVIRONMENT = {
    "HOME": _rootfs.BOX,
    "LANG": "C.UTF-8",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": _rootfs.PACKAGES,
}


class Size(NamedTuple):
    """What cannot be changed of a container.

    Attributes:
        disk: Bytes that a run may store.
        files: Files that it may make.
    """

    disk: int
    files: int


class Engine:
    """The daemon, with an image that holds nothing but places to mount the host's system directories at."""

    def __init__(self, config: SandboxConfig) -> None:
        """Connect and have the image.

        Raises:
            SandboxUnavailableError: There is no engine, or not with that runtime.
        """
        try:
            import docker  # an extra, for those who use this backend
        except ImportError as error:
            raise SandboxUnavailableError("docker", "Run pip install 'assay[docker]'.", str(error)) from error
        self.errors = (docker.errors.DockerException, OSError)
        self.config = config
        self._work_s = 0.0
        remedy = "Start the engine, and let this user reach its socket (SandboxConfig.docker_host)."
        address = config.docker_host or os.environ.get("DOCKER_HOST") or _USUAL_ADDRESS
        try:
            _check_reachable(address)
            self.client = docker.DockerClient(base_url=address)
        except self.errors as error:
            raise SandboxUnavailableError("docker", remedy, str(error)) from error
        try:
            self._check_runtime(self.client.info()["Runtimes"])
            self.image = self._import_image()
            self._sweep()
        except self.errors as error:
            self.client.close()
            raise SandboxUnavailableError("docker", remedy, str(error)) from error
        except BaseException:
            self.client.close()
            raise

    def _check_runtime(self, runtimes: Collection[str]) -> None:
        config = self.config
        if config.docker_runtime not in runtimes:
            remedy = "Name it in the engine's daemon.json, or choose one of those that are there."
            detail = f"no runtime {config.docker_runtime!r}; there are: {', '.join(sorted(runtimes))}"
            raise SandboxUnavailableError("docker_runtime", remedy, detail)

    def _import_image(self) -> str:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as tar:
            for path in ("proc", "dev", "sys", "tmp", "etc", "opt/assay", _contained.ARTEFACTS[1:]):
                # A runtime gives what it mounts there the same mode.
                tar.addfile(_entry(path, tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755))
            for path in _rootfs.SYSTEM:
                if os.path.islink(path):
                    link = _entry(path[1:], tarfile.SYMTYPE, 0o777)
                    link.linkname = os.readlink(path)
                    tar.addfile(link)
            for path, text in _rootfs.FILES.items():
                entry = _entry(path[1:], tarfile.REGTYPE, 0o644)
                entry.size = len(text)
                tar.addfile(entry, io.BytesIO(text.encode()))
        data = file.getvalue()
        name, tag = _IMAGE, hashlib.sha256(data).hexdigest()[:12]
        if not self.client.images.list(f"{name}:{tag}"):
            self.client.api.import_image_from_data(data, repository=name, tag=tag)
        return f"{name}:{tag}"

    def work_s(self, python: str) -> float:
        """Processor time of the piece of work that probes do in containers, by the clock of the host.

        Raises:
            SandboxInternalError: It could not be measured.
        """
        if not self._work_s:
            command = [python, "-I", "-S", "-c", WORK_COST.decode()]
            try:
                costs = [float(subprocess.check_output(command, timeout=_START_S)) for _ in range(_CALIBRATIONS)]
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                raise SandboxInternalError("calibrate", f"{type(error).__name__}: {error}") from error
            self._work_s = min(costs)
        return self._work_s

    def _sweep(self) -> None:
        """Remove what was left by owners that could not, such as one that was killed while it created."""
        for container in self.client.containers.list(all=True, filters={"label": _LABEL}, ignore_removed=True):
            if float(container.labels.get(_EXPIRES, "inf")) < time.time():
                with contextlib.suppress(*self.errors):
                    container.remove(force=True)


def _check_reachable(address: str) -> None:
    """Connect to a local engine; the client of the package leaves its socket open where that fails.

    Raises:
        OSError: It cannot be reached.
    """
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_START_S)
            sock.connect(path)


def _entry(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.type, entry.mode = kind, mode
    return entry


class Container:
    """One container, with a connection to its manager. Used by one thread; `kill` by any."""

    def __init__(self, engine: Engine, interpreter: Interpreter, size: Size) -> None:
        """Start it and wait for its manager's report.

        Raises:
            SandboxUnavailableError: A step of the isolation is refused here.
            SandboxInternalError: It could not be started for another reason.
        """
        self._engine = engine
        self._sock: socket.socket | None = None
        self._memory = 0
        self.started = time.monotonic()
        self.user = _FIRST_USER + 2 * secrets.randbelow(_USERS)
        try:
            self._container = self._create(interpreter, size)
        except engine.errors as error:
            raise SandboxInternalError("docker", str(error)) from error
        try:
            self._connect()
            self._container.start()
            config = engine.config
            settings = {"source_bytes": config.source_bytes, "read_only": list(interpreter.directories)}
            self.report = _plain.report_of(self.ask(settings, _START_S)["report"])
            if self.report.cpu_clock == "none":
                self.ask({"do": "calibrate", "work_s": engine.work_s(interpreter.path)}, _START_S)
        except engine.errors as error:
            self.close()
            raise SandboxInternalError("docker", str(error)) from error
        except BaseException:
            self.close()
            raise

    def _create(self, interpreter: Interpreter, size: Size) -> Any:
        config = self._engine.config
        expires = time.time() + config.recycle_s + _GRACE_S
        tmp = f"rw,exec,nosuid,nodev,size={size.disk},nr_inodes={size.files + 4},mode=1777"
        places = {_rootfs.WRITABLE: tmp, _contained.ARTEFACTS: f"rw,exec,nosuid,nodev,size={_ARTEFACT_BYTES},mode=755"}
        places["/dev/pts"] = "ro,size=4k,mode=755"  # no terminals
        places |= dict.fromkeys(interpreter.hidden, "ro,size=4k,mode=755")
        main = f"{_contained.CODE}/sandbox/_inside/__main__.py"
        return self._engine.client.containers.create(
            self._engine.image,
            [interpreter.path, "-S", main, "contained", str(self.user), str(self.user + 1)],
            runtime=config.docker_runtime,
            auto_remove=True,
            cap_drop=["ALL"],
            cap_add=_CAPABILITIES,
            environment=_ENVIRONMENT,
            hostname="sandbox",
            ipc_mode="none",
            labels={_LABEL: str(os.getpid()), _EXPIRES: str(expires)},
            log_config={"Type": "none"},
            mem_limit=1024 * MIB,
            memswap_limit=1024 * MIB,
            network_mode="none",
            pids_limit=config.docker_processes + _OWN_PROCESSES,
            read_only=True,
            security_opt=["no-new-privileges"],
            stdin_open=True,
            tmpfs=places,
            user="0:0",
            volumes=_binds(interpreter),
            working_dir="/",
        )

    def _connect(self) -> None:
        streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        attached: Any = self._container.attach_socket(params=streams)
        self._attached = attached
        sock: socket.socket = getattr(attached, "_sock", attached)
        self._sock = sock
        self._ahead = bytearray()
        self._errors = bytearray()

    def bound_memory(self, limit: int) -> None:
        """Have the engine bound what the next run may take, where its runtime can."""
        memory = limit + _MARGIN_BYTES
        if memory == self._memory or self.report.memory_bound != "container":
            return
        try:
            self._engine.client.api.update_container(self._container.id, mem_limit=memory, memswap_limit=memory)
        except self._engine.errors as error:
            raise SandboxInternalError("docker_memory", str(error)) from error
        self._memory = memory

    def ask(self, message: dict[str, Any], within_s: float) -> dict[str, Any]:
        """Ask the manager something.

        Raises:
            SandboxInternalError: The container is gone or does not answer.
            Exception: What the manager has sent as one.
        """
        sock = self._sock
        if sock is None:
            raise SandboxInternalError("container", "it has ended")
        deadline = time.monotonic() + within_s
        try:
            sock.settimeout(within_s)
            sock.sendall(_message.pack(message))
            answer = _message.read(lambda size: self._receive(sock, size, deadline))
        except (OSError, EOFError, ValueError) as error:
            errors = self._errors.decode("utf-8", "replace")[-500:]
            raise SandboxInternalError("container", f"{type(error).__name__}: {error} {errors}".strip()) from error
        if "error" in answer:
            raise _plain.error_of(answer)
        return answer

    def _receive(self, sock: socket.socket, size: int, deadline: float) -> bytes:
        while len(self._ahead) < size:
            kind, length = _HEADER.unpack(_exactly(sock, _HEADER.size, deadline))
            part = _exactly(sock, length, deadline)
            if kind == _STDOUT:
                self._ahead += part
            else:
                self._errors = (self._errors + part)[-4096:]
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        return data

    def kill(self) -> None:
        """Remove the container and wait until it is gone. May be called twice, and by any thread.

        The connection stays open until `close`: another thread may be reading, and its number must not be used again.
        """
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(*self._engine.errors):  # it may be on its way out by itself
            self._container.remove(force=True)
        if self._engine.config.docker_runtime != "runc":
            _reap(self._container.id)

    def close(self) -> None:
        """Remove the container and let go of the connection; nothing is being asked."""
        self.kill()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._attached.close()
            sock.close()


def _exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        sock.settimeout(left)
        part = sock.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the container has ended")
        parts += part
    return bytes(parts)


def _binds(interpreter: Interpreter) -> dict[str, dict[str, str]]:
    """What of the host is shown, read-only."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    binds = {path: path for path in _rootfs.SYSTEM if os.path.isdir(path) and not os.path.islink(path)}
    binds |= {path: path for path in _rootfs.SYSTEM_CONFIGURATION if os.path.exists(path)}
    binds |= {path: path for path in interpreter.directories}
    binds |= {source: f"{_rootfs.PACKAGES}/{name}" for name, source in interpreter.packages.items()}
    binds[package] = f"{_contained.CODE}/sandbox"
    return {source: {"bind": target, "mode": "ro"} for source, target in binds.items()}


def _reap(container: str) -> None:
    """End what a runtime has left of a container that is gone: gVisor's processes survive a start that failed."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read()
            if b"runsc" in command.split(b"\0", 1)[0] and container.encode() in command:
                os.kill(int(pid), signal.SIGKILL)
