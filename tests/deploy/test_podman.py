"""The manifest of the math server as `podman play kube` runs it: no cluster, the same pod."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Images
from tests.deploy.docker import Docker, free_port, wait_for, wrapped_runtime
from tests.deploy.test_images import answers, recipe
from tests.deploy.test_manifests import render
from trainer_client import RewardClient

pytestmark = pytest.mark.timeout(7200)  # images may be built first
NEEDED = ("podman", "runc", "catatonit", "kubectl")
CONF = """\
[engine]
runtime = "wrapped"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
wrapped = ["{runtime}"]
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""


class Podman:
    """The command, with storage of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "containers.conf").write_text(CONF.format(runtime=wrapped_runtime(folder)))
        self.image = ""
        self._environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
        places = ("--root", str(folder / "root"), "--runroot", str(folder / "run"), "--tmpdir", str(folder / "tmp"))
        self._command = ["podman", *places]

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command.

        Returns:
            What it printed.
        """
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment, text=True, capture_output=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@pytest.fixture
def podman(docker: Docker, images: Images, tmp_path: Path) -> Iterator[Podman]:
    """Podman with the math image."""
    images.need("math")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}")
    docker("save", "--output", tmp_path / "image.tar", "assay-math:test")
    with tempfile.TemporaryDirectory() as folder:  # podman takes no path of more than 50 characters
        made = Podman(Path(folder))
        made.image = made("load", "--quiet", "--input", tmp_path / "image.tar").split()[-1]
        yield made
        made("pod", "rm", "--all", "--force")
        made("rmi", "--all", "--force")


def manifest(port: int, image: str) -> str:
    """Deployment and settings of the base, one replica on a port of this host, without what podman does not know."""
    objects = render("base")
    deployment: dict[str, Any] = next(
        one for one in objects if one["kind"] == "Deployment" and one["metadata"]["name"] == "math"
    )
    pod = deployment["spec"]["template"]["spec"]
    named = next(volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume)
    settings = next(one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == named)
    deployment["spec"]["replicas"] = 1
    pod["hostNetwork"] = True
    pod.pop("topologySpreadConstraints")
    (server,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        server.pop(probe)  # of gRPC: `assay health` is the image's own check
    server.pop("resources")
    server.update(image=image, imagePullPolicy="Never")
    server["args"] += ["--port", str(port), "--metrics-port", str(free_port())]
    server["ports"] = []
    return yaml.safe_dump_all([settings, deployment])


def _listens(podman: Podman, name: str) -> bool:
    return "listening on" in podman("logs", name)


def test_a_pod_of_the_manifest_serves_and_drains_when_it_is_told(podman: Podman, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    names = []
    for number, port in enumerate(ports):
        file = tmp_path / f"play-{number}.yaml"
        file.write_text(manifest(port, podman.image).replace("name: math\n", f"name: math{number}\n"))
        podman("play", "kube", file)
        names.append(f"math{number}-pod-0-server")
    for name in names:
        wait_for(partial(_listens, podman, name), name)
    with RewardClient(recipe("math"), {"s": [f"127.0.0.1:{port}" for port in ports]}) as client:
        assert client.score(answers(64)).scores[:, 0].tolist() == [1.0, 0.0] * 32
        pid = int(podman("inspect", "--format", "{{.State.Pid}}", names[0]))
        stop = threading.Timer(0.3, os.kill, (pid, signal.SIGTERM))
        stop.start()
        tables = [client.score(answers(512), step=step) for step in range(10)]
        stop.join()
    for table in tables:
        assert table.scores[:, 0].tolist() == [1.0, 0.0] * 256
