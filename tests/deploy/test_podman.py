"""The manifest of the math server as `podman play kube` runs it: no cluster, the same pod."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.docker import Docker, free_port, wait_for
from tests.deploy.test_images import answers, recipe
from tests.deploy.test_manifests import render
from trainer_client import RewardClient

pytestmark = pytest.mark.timeout(600)
NEEDED = ("podman", "runc", "catatonit", "kubectl")
CONF = """\
[engine]
runtime = "wrapped"
cgroup_manager = "cgroupfs"
events_logger = "file"
[engine.runtimes]
wrapped = ["{folder}/wrapped"]
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
"""
WRAPPED = """\
#!/usr/bin/python3
# A pod asks for a score that spares it from the kernel out of memory, which a host without CAP_SYS_RESOURCE refuses.
import json, os, sys
if "create" in sys.argv:
    place = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    told = json.load(open(place))
    if told["process"].get("oomScoreAdj", 0) < 0:
        del told["process"]["oomScoreAdj"]
        json.dump(told, open(place, "w"))
os.execvp("runc", ["runc", *sys.argv[1:]])
"""


class Podman:
    """The command, with storage of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "containers.conf").write_text(CONF.format(folder=folder))
        (folder / "wrapped").write_text(WRAPPED)
        (folder / "wrapped").chmod(0o755)
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
            env=self._environment, text=True, capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"podman {arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@pytest.fixture
def podman(docker: Docker, images: dict[str, int], tmp_path: Path) -> Iterator[Podman]:
    """Podman with the math image."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}")
    made = Podman(tmp_path)
    docker("save", "--output", tmp_path / "image.tar", "assay-math:test")
    made("load", "--quiet", "--input", tmp_path / "image.tar")
    (tmp_path / "image.tar").unlink()
    yield made
    made("pod", "rm", "--all", "--force")


def manifest(port: int) -> str:
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
    server.update(image="docker.io/library/assay-math:test", imagePullPolicy="Never")
    server["args"] += ["--port", str(port), "--metrics-port", str(free_port())]
    server["ports"] = []
    return yaml.safe_dump_all([settings, deployment])


def test_a_pod_of_the_manifest_serves_and_drains_when_it_is_told(podman: Podman, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    names = []
    for number, port in enumerate(ports):
        file = tmp_path / f"play-{number}.yaml"
        file.write_text(manifest(port).replace("name: math\n", f"name: math{number}\n"))
        podman("play", "kube", file)
        names.append(f"math{number}-pod-0-server")
    for name in names:
        wait_for(lambda name=name: "started" in podman("logs", name), f"{name}: {podman('logs', name)}")  # type: ignore[misc]
    with RewardClient(recipe("math"), {"s": [f"127.0.0.1:{port}" for port in ports]}) as client:
        assert client.score(answers(64)).scores[:, 0].tolist() == [1.0, 0.0] * 32
        pid = int(podman("inspect", "--format", "{{.State.Pid}}", names[0]))
        stop = threading.Timer(0.3, os.kill, (pid, signal.SIGTERM))
        stop.start()
        tables = [client.score(answers(512), step=step) for step in range(10)]
        stop.join()
    for table in tables:
        assert table.scores[:, 0].tolist() == [1.0, 0.0] * 256
