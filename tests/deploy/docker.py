"""A Docker daemon for the tests, of its own where none answers, and containers that are gone at the end."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFINED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--memory", "2g", "--pids-limit", "2048"),
)
"""As the documentation runs a server."""
UNMASKED = ("--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined")
"""The two options that the sandbox needs."""
_RUNTIME = """\
#!/usr/bin/python3
import json, os, sys
if "create" in sys.argv:
    place = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    told = json.load(open(place))
    # A pod asks to be spared when memory runs out, which a host without CAP_SYS_RESOURCE refuses.
    if told["process"].get("oomScoreAdj", 0) < 0:
        del told["process"]["oomScoreAdj"]
    # `procMount: Unmasked` is an empty list, which Kubernetes 1.20 loses on its way to Docker. Those that ask for it
    # are the ones that run without a filter.
    if not told["linux"].get("seccomp"):
        told["linux"].update(maskedPaths=[], readonlyPaths=[])
    json.dump(told, open(place, "w"))
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 240) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.1)


def free_port() -> int:
    """A port of this host that was free a moment ago: containers share its network."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def wrapped_runtime(folder: Path) -> Path:
    """Write a container runtime that starts pods on any host.

    Returns:
        Where it is.
    """
    path = folder / "wrapped"
    path.write_text(_RUNTIME)
    path.chmod(0o755)
    return path


@dataclass(frozen=True)
class Docker:
    """The command, at one daemon."""

    host: str

    @property
    def environment(self) -> dict[str, str]:
        """What the command reads to find the daemon."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def __call__(self, *arguments: str | Path, fine: tuple[int, ...] = (0,)) -> str:
        """Run a command.

        Returns:
            What it printed, on both streams.
        """
        done = subprocess.run(
            ["docker", *arguments], env=self.environment, text=True, capture_output=True, timeout=1800, check=False
        )
        assert done.returncode in fine, f"docker {' '.join(map(str, arguments[:3]))}: {done.stdout}{done.stderr}"
        return (done.stdout + done.stderr).strip()

    @contextmanager
    def server(self, image: str, *arguments: str, options: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
        """A container that serves.

        Yields:
            Its name and its address, once it answers.
        """
        port = free_port()
        command = ("serve", *arguments, "--host", "127.0.0.1", "--port", str(port))
        began = time.monotonic()
        name = self("run", "-d", "--network", "host", *CONFINED, *options, image, *command)[:12]
        try:
            wait_for(lambda: "listening on" in self("logs", name), f"{image}: {self('logs', name)}")
            print(f"{image}: listens after {time.monotonic() - began:.1f} s")
            yield name, f"127.0.0.1:{port}"
        finally:
            self("rm", "--force", name)

    def exit_code(self, name: str) -> int:
        """How a container ended."""
        return int(json.loads(self("inspect", name))[0]["State"]["ExitCode"])


def build_images(docker: Docker, kinds: Sequence[str]) -> None:
    """Build images of this checkout by the documented command, with the tag ``test``."""
    build = [sys.executable, str(ROOT / "deploy" / "docker" / "build.py"), "--tag", "test", *kinds]
    subprocess.run(build, env=docker.environment, check=True, timeout=7000)


@contextmanager
def daemon(folder: Path) -> Iterator[Docker]:
    """The daemon that answers here, or one of our own below ``folder``."""
    present = Docker(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        yield present
        return
    own = Docker(f"unix://{folder}/docker.sock")
    settings = {"hosts": [own.host], "bridge": "none", "iptables": False, "ip6tables": False}
    settings |= {"host-gateway-ip": "192.0.2.1"}  # of documentation: without a bridge the daemon knows none
    settings |= {"runtimes": {"wrapped": {"path": str(wrapped_runtime(folder))}}}
    settings |= {"data-root": f"{folder}/data", "exec-root": f"{folder}/exec", "pidfile": f"{folder}/pid"}
    (folder / "daemon.json").write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["dockerd", "--config-file", folder / "daemon.json"], stdout=log, stderr=log)
        try:
            wait_for(Path(f"{folder}/docker.sock").is_socket, "dockerd")
            yield own
        finally:
            process.terminate()
            process.wait(60)
            # A daemon leaves it mounted, and the folder could not be removed.
            subprocess.run(["umount", f"{folder}/exec/netns/default"], capture_output=True, check=False)
            shutil.rmtree(folder / "data", ignore_errors=True)  # gigabytes
