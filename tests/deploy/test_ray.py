"""Reward servers in a Ray cluster of two nodes: found by name, scaled by Serve, and none outlives its actor."""

from __future__ import annotations

import _thread
import itertools
import signal
import threading
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

from reward_servers.core import SettingsError  # noqa: E402
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

FRAGILE = """
from pathlib import Path

from reward_servers import Rollout, verifier

here = Path(__file__).parent
if (here / "FAIL").exists():
    with (here / "tries").open("a") as file:
        file.write("one more\\n")
    raise RuntimeError("a disk is away")


@verifier("test/fragile", version="1")
def right(rollout: Rollout) -> float:
    return float(rollout.response.startswith("good"))
"""


class Raises:
    """An actor of others, or a broken one, with a name as ours have."""

    def address(self) -> str:
        raise TypeError("the place\nis broken")


class AnswersANumber:
    """See `Raises`."""

    def address(self) -> int:
        return 3


class HasNoAddress:
    """See `Raises`."""


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


def named(name: str) -> list[str]:
    """The named actors of servers that are called so."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    return [entry["name"] for entry in listed if entry["name"].startswith(f"server:{name}:")]


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


def test_a_server_that_cannot_start_again_is_tried_until_it_can(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(FRAGILE)
    fails, tries = tmp_path / "FAIL", tmp_path / "tries"
    recipe = Recipe((Reward("right", "test/fragile", deadline_s=300.0),), advantage=None)
    patient = Retries(unavailable_timeout_s=240.0)
    place = ["--import-path", str(tmp_path)]

    def fail_twice() -> None:
        tries.write_text("")
        fails.touch()
        server_processes()[0].kill()
        # The first is of the actor that Ray has started again; one more is of what tries again.
        wait_for(lambda: tries.read_text().count("one more") > 1)

    with Servers("lasting", ["fragile:right"], options=place) as servers:
        with RewardClient(recipe, servers.endpoint, retries=patient) as client:
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
            fail_twice()
            fails.unlink()
            assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
        fail_twice()
        impatient = Retries(unavailable_timeout_s=2.0)
        with (
            RewardClient(recipe, servers.endpoint, retries=impatient) as client,
            pytest.raises(IncompleteBatchError, match=r"cannot be started again, .*: a disk is away"),
        ):
            client.score(ROLLOUTS)
    # One that has no server ends like the others.
    wait_for(lambda: not named("lasting") and not server_processes())


def test_broken_actors_hide_no_other(cluster: Any, caplog: pytest.LogCaptureFixture) -> None:
    # Held as long as the test: an actor ends with its last handle.
    kinds = (Raises, AnswersANumber, HasNoAddress)
    broken = [
        ray.remote(kind).options(name=f"server:odd:{kind.__name__}", namespace="assay", num_cpus=0).remote()
        for kind in kinds
    ]
    ray.get([one.__ray_ready__.remote() for one in broken])
    with Servers("odd", ["exact"]) as servers, RewardClient(RECIPE, servers.endpoint) as client:
        assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
        said = (
            "'server:odd:Raises' does not say where it listens (TypeError: the place is broken)",
            "'server:odd:AnswersANumber' answers with int and not with a text",
            "'server:odd:HasNoAddress' has no method `address`",
        )
        wait_for(lambda: all(words in caplog.text for words in said))
    for one in broken:
        ray.kill(one)
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


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (lambda: Servers("a:b", ["exact"]), r"Servers\.name: "),
        (lambda: Servers("refused", "exact"), r"Servers\.verifiers: must be a list of texts, such as \['exact'\]"),
        (lambda: Servers("refused", ["exact"], replicas=0), r"Servers\.replicas: "),
        (lambda: Servers("refused", ["exact"], replicas=2, resources={"num_gpu": 1}), r"Servers\.resources: .*num_gpu"),
        (lambda: stop("a:b"), r"name: "),
        (lambda: application({"verifiers": ["exact"]}), r"args\.name: is missing"),
        (
            lambda: application({"name": "refused", "verifiers": ["exact"], "autoscaling": {"max_replica": 8}}),
            r"args\.autoscaling\.max_replica: there is no such field; did you mean max_replicas\?",
        ),
        (
            lambda: application({"name": "refused", "verifiers": ["exact"], "autoscaling": {"max_replicas": "many"}}),
            r"args\.autoscaling: .*max_replicas",
        ),
        (
            lambda: application({"name": "refused", "verifiers": ["exact"], "autoscaling": {"policy": {}}}),
            r"args\.autoscaling\.policy: there is no such field",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(cluster: Any, start: Callable[[], Any], told: str) -> None:
    with pytest.raises(SettingsError, match=f"^{told}"):
        start()
    assert named("refused") == named("a") == []


def test_what_has_started_ends_with_an_interrupt(cluster: Any) -> None:
    def interrupt() -> None:
        wait_for(lambda: len(named("crowded")) == 2)
        _thread.interrupt_main()

    # One of them starts, and the other waits: the cluster has cores for one.
    thread = threading.Thread(target=interrupt)
    # What runs in the background of a shell ignores the interrupt of a terminal.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            Servers("crowded", ["exact"], replicas=2, workers=3, detached=True)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, handler)
    wait_for(lambda: not named("crowded") and not server_processes())


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


def test_an_actor_that_ends_before_it_is_looked_up_keeps_no_other(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Servers("leaving", ["exact"], replicas=2, detached=True)
    listing = ray.util.list_named_actors

    def list_and_end_one(**choice: Any) -> Any:
        """Ray's own list, and the end of one that is on it: what else only a moment brings about."""
        listed = listing(**choice)
        first = next(entry["name"] for entry in listed if entry["name"].startswith("server:leaving:"))
        ray.kill(ray.get_actor(first, namespace="assay"))
        while first in [entry["name"] for entry in listing(all_namespaces=True)]:
            time.sleep(0.1)
        return listed

    with monkeypatch.context() as during:
        during.setattr(ray.util, "list_named_actors", list_and_end_one)
        assert stop("leaving") == 1
    wait_for(lambda: not named("leaving") and not server_processes())


def test_a_replica_of_serve_without_its_signpost_puts_up_another(cluster: Any) -> None:
    serve.run(application({"name": "posted", "verifiers": ["exact"]}), name="posted", route_prefix=None)
    (first,) = named("posted")
    (server,) = server_processes()
    ray.kill(ray.get_actor(first, namespace="assay"))
    wait_for(lambda: any(name != first for name in named("posted")))
    with RewardClient(RECIPE, "ray:posted", retries=Retries(unavailable_timeout_s=240.0)) as client:
        assert client.score(ROLLOUTS).scores[:, 0].tolist() == EXPECTED
    assert server_processes() == [server]
    serve.delete("posted")
    wait_for(lambda: not named("posted") and not server_processes())
