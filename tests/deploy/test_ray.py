"""Reward servers in a Ray cluster of two nodes: found by name, scaled by Serve, and none outlives its actor."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from trainer_client import IncompleteBatchError, Recipe, Retries, Reward, RewardClient, Rollout

ray = pytest.importorskip("ray", reason="Ray is not installed; make test-ray installs it in an environment of its own")
from ray import serve  # noqa: E402
from ray.cluster_utils import Cluster  # noqa: E402

from reward_servers.ray import ServerNotStartedError, Servers, application, stop  # noqa: E402

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RECIPE = Recipe((Reward("right", "exact", deadline_s=120.0),), advantage=None)
ROLLOUTS = [Rollout(str(n), "q", ("good", "bad")[n % 2], reference={"answer": "good"}) for n in range(64)]
EXPECTED = [1.0, 0.0] * 32
STORE = 80 << 20
RESTING = """
import time

from reward_servers import Rollout, verifier


@verifier("test/rest", version="1")
def rest(rollout: Rollout) -> float:
    time.sleep(0.2)
    return float(rollout.response.startswith("good"))
"""


def started(start: Callable[[], Any]) -> Any:
    """Start a node. Ray gives it 30 s, which is little on a busy host: then again, without what is left of it."""
    while True:
        before = set(psutil.Process().children(recursive=True))
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
        for one in set(psutil.Process().children(recursive=True)) - before:
            with suppress(psutil.NoSuchProcess):
                one.kill()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    # Ray starts what it runs, and so our servers, at a niceness of 15: beside other work they would starve.
    head: dict[str, Any] = {"num_cpus": 4, "include_dashboard": False, "object_store_memory": STORE}
    head["_system_config"] = {"worker_niceness": 0}
    nodes = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    serve.shutdown()
    ray.shutdown()
    nodes.shutdown()


def server_processes() -> list[psutil.Process]:
    """The servers of actors that run on this host."""
    lines = ((one, one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"]))
    return [one for one, line in lines if {"reward_servers", "--with-parent", "--metrics-port"} <= set(line)]


def wait_for(holds: Callable[[], bool], seconds: float = 240.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it never came to be"
        time.sleep(0.1)


def test_a_node_is_lost_under_load_and_no_item_with_it(cluster: Any) -> None:
    node = started(lambda: cluster.add_node(num_cpus=4, object_store_memory=STORE))
    with (
        Servers("checks", ["exact"], replicas=2, workers=2) as servers,
        RewardClient(RECIPE, servers.endpoint) as client,
    ):
        assert len(set(servers.addresses)) == 2
        assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
        before = server_processes()
        assert len(before) == 2
        cluster.remove_node(node, allow_graceful=False)

        def one_left() -> bool:
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
            return sum(one.is_running() for one in before) == 1

        # The server of the actor that has gone goes with it, and steps go on.
        wait_for(one_left)
        for _ in range(20):
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
    wait_for(lambda: not server_processes())


def test_a_server_that_ends_is_started_again_with_its_actor(cluster: Any) -> None:
    with Servers("again", ["exact"]) as servers, RewardClient(RECIPE, servers.endpoint) as client:
        assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
        server_processes()[0].kill()
        assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
    wait_for(lambda: not server_processes())


def test_mistakes_are_said(cluster: Any) -> None:
    with pytest.raises(ServerNotStartedError, match="no verifier 'nothing' is installed"):
        Servers("wrong", ["nothing"])
    impatient = Retries(unavailable_timeout_s=2.0)
    with (
        RewardClient(RECIPE, "ray:nowhere", retries=impatient) as client,
        pytest.raises(IncompleteBatchError, match="ray:nowhere: no actor has such a server"),
    ):
        client.score(ROLLOUTS)


def test_serve_scales_by_items_in_flight_and_drains(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "resting.py").write_text(RESTING)
    told = yaml.safe_load((DEPLOY / "ray" / "serve.yaml").read_text())["applications"][0]["args"]
    told |= {"name": "scaled", "verifiers": ["resting:rest"], "workers": 1, "options": ["--import-path", str(tmp_path)]}
    told["autoscaling"] |= {"max_replicas": 2, "target_ongoing_requests": 16, "upscale_delay_s": 1}
    serve.run(application(told), name="scaled", route_prefix=None)
    recipe = Recipe((Reward("right", "test/rest", deadline_s=300.0),), advantage=None)
    seen: set[int] = set()
    with RewardClient(recipe, "ray:scaled") as client:
        for turn in itertools.count():
            # Texts that were judged before would come from the server's cache.
            asked = [replace(one, response=f"{one.response} {turn} {one.rollout_id}") for one in ROLLOUTS]
            assert client.score(asked).scores[:, 0].tolist() == EXPECTED
            seen |= {one.pid for one in server_processes()}
            if len(seen) == 2:
                break
        serve.delete("scaled")
    wait_for(lambda: not server_processes())


def test_detached_servers_are_stopped_by_name(cluster: Any) -> None:
    Servers("kept", ["exact"], detached=True)
    assert len(server_processes()) == 1
    assert stop("kept") == 1
    wait_for(lambda: not server_processes())
