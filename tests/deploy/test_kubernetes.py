"""The manifests in a real cluster: rolled out, asked under load while pods are replaced, deleted, killed and scaled.

The cluster is of version 1.20, the newest that the distribution's packages build. What the manifests ask of newer ones
is taken out before (`_older`), and checked against their schemas in `test_manifests`. No name service runs: the client
follows a file of the headless Service's endpoints, which a thread keeps as a name service would.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.docker import Docker, build_images, wait_for
from tests.deploy.kubernetes import HOST, NEEDED, Cluster, cluster
from tests.deploy.test_images import TESTS, answers, recipe
from tests.deploy.test_manifests import render
from tests.fakes.metrics_adapter import GROUP, VERSION, FakeMetricsAdapter
from trainer_client import Retries, RewardClient, Rollout

pytestmark = pytest.mark.timeout(14400)  # images may be built first
SERVERS = ("math", "code")
OLDER = {"HorizontalPodAutoscaler": "autoscaling/v2beta2", "PodDisruptionBudget": "policy/v1beta1"}
PATIENT = Retries(unavailable_timeout_s=300.0)
Work = Mapping[str, tuple[list[Rollout], list[float]]]
"""Rollouts of each server, and their scores."""


def programs(count: int, first: str = "") -> tuple[list[Rollout], list[float]]:
    """Programs that begin with a line, of which every second is wrong, and their scores."""
    texts = [f"```python\n{first}\nprint(int(input()) * {factor})\n```" for factor in (2, 3)]
    rollouts = [
        Rollout(f"p{n}", "Double it.", texts[n % 2], group_id=f"g{n // 4}", reference=TESTS) for n in range(count)
    ]
    return rollouts, [1.0, 0.0] * (count // 2)


ASKED: Work = {"math": (answers(64), [1.0, 0.0] * 32), "code": programs(8)}
SLOW: Work = {"code": programs(32, "import time; time.sleep(1)")}
"""What is asked stays in flight for seconds."""


def manifest(address: str = "balanced") -> str:
    """Math and code of the base, and for each a Service with one address beside the headless one."""
    objects = [_older(one) for one in render("base") if "judge" not in one["metadata"]["name"]]
    for name in SERVERS:
        labels = {"app.kubernetes.io/name": name}
        ports = [{"name": "grpc", "port": 50051, "targetPort": "grpc"}]
        metadata = {"name": f"{name}-{address}", "namespace": "assay"}
        spec = {"selector": labels, "ports": ports}
        objects.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
    return yaml.safe_dump_all(objects)


def _older(one: dict[str, Any]) -> dict[str, Any]:
    """An object of the base as version 1.20 takes it, on a node of two cores that has the images."""
    one["apiVersion"] = OLDER.get(one["kind"], one["apiVersion"])
    if one["kind"] != "Deployment":
        return one
    pod = one["spec"]["template"]["spec"]
    pod.pop("hostUsers", None)
    (server,) = pod["containers"]
    server["securityContext"].pop("appArmorProfile", None)
    server["image"] = f"assay-{one['metadata']['name']}:test"
    server["imagePullPolicy"] = "Never"
    server["resources"]["requests"] = {"cpu": "250m", "memory": "64Mi"}
    # Probes of gRPC came later: the images' own check instead, and the port once that has held.
    health = {"command": ["assay", "health", "127.0.0.1:50051"]}
    server["startupProbe"] = {"exec": health, "periodSeconds": 10, "timeoutSeconds": 60, "failureThreshold": 60}
    server["readinessProbe"] = {"tcpSocket": {"port": "grpc"}, "periodSeconds": 5, "timeoutSeconds": 30}
    return one


@pytest.fixture(scope="module")
def binaries() -> Path:
    """Where the parts of a cluster are."""
    folder = os.environ.get("ASSAY_TEST_KUBERNETES")
    if not folder:
        pytest.skip("needs the binaries of a cluster: make test-kubernetes")
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}")
    return Path(folder)


@pytest.fixture(scope="module")
def running(binaries: Path, docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the math and the code server rolled out."""
    if os.environ["ASSAY_TEST_DEPLOY"] != "built":
        build_images(docker, SERVERS)
    folder = tmp_path_factory.mktemp("kubernetes")
    try:
        with cluster(folder, binaries) as made:
            for name in SERVERS:
                docker("save", "--output", folder / "image.tar", f"assay-{name}:test")
                made.docker("load", "--quiet", "--input", folder / "image.tar")
            (folder / "image.tar").unlink()
            began = time.monotonic()
            made.kubectl("apply", "--filename", "-", text=manifest())
            for name in SERVERS:
                made.kubectl("rollout", "status", f"deployment/{name}", "--timeout=600s")
            print(f"rolled out in {time.monotonic() - began:.0f} s")
            yield made
    finally:
        shutil.rmtree(folder / "data", ignore_errors=True)


class Load:
    """Steps that follow each other, until it is told to stop."""

    def __init__(self, name: str, endpoint: str, work: Work) -> None:
        self.steps = 0
        self._name, self._endpoint, self._work = name, endpoint, work[name]
        self._over = threading.Event()

    def run(self) -> int:
        """Score step after step.

        Returns:
            Items scored, all of them right.
        """
        rollouts, expected = self._work
        with RewardClient(recipe(self._name), {"s": [self._endpoint]}, retries=PATIENT) as client:
            while not self._over.wait(0.2):  # pods start on the same two cores
                # Another prompt in each step: none is answered from what is known.
                asked = [replace(one, prompt=f"{one.prompt} {self.steps}") for one in rollouts]
                table = client.score(asked, step=self.steps)
                assert table.valid.all(), (self._name, self.steps, table.codes[~table.valid])
                assert table.scores[:, 0].tolist() == expected, (self._name, self.steps)
                self.steps += 1
        return self.steps * len(rollouts)

    def stop(self) -> None:
        """No step after the present one."""
        self._over.set()


@contextmanager
def loaded(made: Cluster, folder: Path, work: Work = ASKED) -> Iterator[None]:
    """Steps through the address of each Service and through the endpoints of each headless one, all the time."""
    over = threading.Event()
    loads = {}
    for name in work:
        service = made.get(f"/api/v1/namespaces/assay/services/{name}-balanced")
        loads[f"{name} by the Service"] = Load(name, f"{service['spec']['clusterIP']}:50051", work)
        loads[f"{name} by endpoints"] = Load(name, f"file:{folder}/{name}.json", work)
    with ThreadPoolExecutor(len(loads) + 1) as pool:
        following = pool.submit(_follow, made, folder, over)
        items = {name: pool.submit(load.run) for name, load in loads.items()}
        try:
            _steps(loads, items)
            yield
            _steps(loads, items)
        finally:
            for load in loads.values():
                load.stop()
            for one in items.values():
                with suppress(Exception):  # raised below
                    one.result()
            over.set()
        following.result()
        for name, one in items.items():
            print(f"{name}: {one.result()} items, 0 lost, 0 changed")


def _steps(loads: dict[str, Load], items: dict[str, Future[int]]) -> None:
    """Wait for two more steps of all, or the end of one."""
    aims = {name: load.steps + 2 for name, load in loads.items()}

    def held() -> bool:
        return all(load.steps >= aims[name] for name, load in loads.items()) or any(
            one.done() for one in items.values()
        )

    wait_for(held, "steps", 600)


def _follow(made: Cluster, folder: Path, over: threading.Event) -> None:
    """Keep a file of each server's endpoints."""
    while not over.wait(0.5):
        for name in SERVERS:
            found = made.addresses(name)
            if found:
                (folder / "next").write_text(json.dumps({"s": found}))
                os.replace(folder / "next", folder / f"{name}.json")


def replaced(made: Cluster, name: str, old: Sequence[str]) -> bool:
    """Two pods are ready, and of the old ones none is there."""
    now = made.pods(name)
    return sum(now.values()) == len(now) == 2 and not set(old) & set(now)


def test_a_rollout_that_is_restarted_and_pods_that_are_deleted_cost_no_item(running: Cluster, tmp_path: Path) -> None:
    with loaded(running, tmp_path):
        for name in SERVERS:
            before = list(running.pods(name))
            began = time.monotonic()
            running.kubectl("rollout", "restart", f"deployment/{name}")
            running.kubectl("rollout", "status", f"deployment/{name}", "--timeout=900s")
            wait_for(partial(replaced, running, name, before), f"new pods of {name}", 600)
            print(f"{name} restarted in {time.monotonic() - began:.0f} s")
        for name in SERVERS:
            gone = next(iter(running.pods(name)))
            running.kubectl("delete", "pod", gone, "--wait=false")
            wait_for(partial(replaced, running, name, [gone]), f"a pod in place of {gone}", 600)


def test_a_server_that_is_killed_is_started_again_and_costs_no_item(running: Cluster, tmp_path: Path) -> None:
    with loaded(running, tmp_path):
        for name in SERVERS:
            pod = next(iter(running.pods(name)))
            held = _container(running, pod)
            running.docker("kill", held)
            wait_for(partial(_started_again, running, pod, held), f"the kubelet's restart of {pod}", 600)
            wait_for(partial(replaced, running, name, ()), f"{name} ready", 600)


def _container(made: Cluster, pod: str) -> str:
    return made.docker("ps", "--quiet", "--filter", f"name=k8s_server_{pod}")


def _started_again(made: Cluster, pod: str, before: str) -> bool:
    return _container(made, pod) not in ("", before)


def test_an_autoscaler_follows_the_queue_and_costs_no_item(running: Cluster, tmp_path: Path) -> None:
    def ready() -> int:
        return sum(running.pods("code").values())

    adapter = FakeMetricsAdapter(HOST, running.addresses_of)
    with adapter.running() as port:
        running.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all([*_adapter_of(port), _autoscaler()]))
        with loaded(running, tmp_path, SLOW):
            wait_for(lambda: ready() == 3, "a third replica under load", 600)
        assert max(sum(values.values()) for values in adapter.asked) > 16
        wait_for(lambda: ready() == len(running.pods("code")) == 2, "two replicas after it", 600)


def _autoscaler() -> dict[str, Any]:
    """That of the programs' server, by a queue of 8 items a replica, to 3 of them, and back at once."""
    one = next(
        one for one in render("overlays/monitoring")
        if (one["kind"], one["metadata"]["name"]) == ("HorizontalPodAutoscaler", "code")
    )  # fmt: skip
    one["spec"]["metrics"][0]["pods"]["target"]["averageValue"] = "8"
    one["spec"] |= {"maxReplicas": 3, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
    return _older(one)


def _adapter_of(port: int) -> list[dict[str, Any]]:
    """What makes the API server ask this host for custom metrics."""
    metadata = {"name": "custom-metrics", "namespace": "assay"}
    ports = [{"name": "https", "port": 443}]
    backend = {"service": metadata, "group": GROUP, "version": VERSION, "insecureSkipTLSVerify": True}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata,
         "subsets": [{"addresses": [{"ip": HOST}], "ports": [{"name": "https", "port": port}]}]},
        {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{VERSION}.{GROUP}"},
         "spec": {**backend, "groupPriorityMinimum": 100, "versionPriority": 100}},
    ]  # fmt: skip


def test_the_server_of_the_cluster_refuses_what_its_schema_does_not_know(running: Cluster) -> None:
    objects = [*yaml.safe_load_all(manifest("more"))]
    for deployment in (one for one in objects if one["kind"] == "Deployment"):
        deployment["spec"]["replicas"] = "two"
    wrong = yaml.safe_dump_all(objects)
    with pytest.raises(AssertionError, match="replicas"):
        running.kubectl("apply", "--dry-run=server", "--validate=false", "--filename", "-", text=wrong)
