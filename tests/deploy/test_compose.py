"""The compose file as a fleet: scored over gRPC and HTTP, watched by a real Prometheus, a server killed in a step.

The engine's registries are not asked: Prometheus comes from the distribution's package, in an image made here. Grafana,
which the distribution lacks, is left out; its queries are asked of Prometheus instead.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Images
from tests.deploy.docker import Docker, free_port, wait_for
from tests.deploy.test_images import PROGRAM, TESTS, answers, recipe
from trainer_client import Retries, RewardClient, RewardError, Rollout, describe_server

pytestmark = pytest.mark.timeout(7200)  # images may be built first
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES = ("math", "code", "judge", "gateway", "prometheus")


class Fleet:
    """The services of the compose file, on free ports of this host."""

    def __init__(self, docker: Docker, folder: Path) -> None:
        self._docker = docker
        self._file = folder / "compose.yaml"
        told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
        told["services"] = {name: told["services"][name] for name in SERVICES}
        told["services"]["prometheus"]["image"] = _prometheus(docker, folder)
        # Compose 1, which is what the distribution has, hands this on to a daemon that does not know it.
        told["services"]["code"]["security_opt"].remove("systempaths=unconfined")
        told["services"]["code"]["runtime"] = "wrapped"
        self.ports: dict[str, int] = {}
        for name, service in told["services"].items():
            inside = service["ports"][0].rpartition(":")[2]
            self.ports[name] = free_port()
            service["ports"] = [f"127.0.0.1:{self.ports[name]}:{inside}"]
        self._file.write_text(yaml.safe_dump(told))

    def __call__(self, *arguments: str) -> str:
        """Run docker-compose.

        Returns:
            What it printed.
        """
        line = ["docker-compose", "--project-name", f"assay{os.getpid()}", "--project-directory", str(DEPLOY)]
        environment = {**self._docker.environment, "TAG": "test", "OPENAI_API_KEY": "none"}
        done = subprocess.run(
            [*line, "--file", str(self._file), *arguments],
            env=environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def pid(self, service: str) -> int:
        """The main process of a service, as this host sees it."""
        return int(self._docker("inspect", "--format", "{{.State.Pid}}", self("ps", "--quiet", service)))

    def ask(self, path: str, **query: str) -> Any:
        """Ask Prometheus."""
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]


def _prometheus(docker: Docker, folder: Path) -> str:
    """An image with the Prometheus of the distribution, on the base of the others."""
    found = shutil.which("prometheus")
    assert found is not None, "not installed: prometheus"
    context = folder / "prometheus"
    context.mkdir()
    shutil.copy(found, context / "prometheus")
    (context / "Dockerfile").write_text(
        "FROM assay-base:bookworm\nCOPY prometheus /bin/prometheus\nRUN mkdir -m 777 /prometheus\n"
        'USER 65534:65534\nENTRYPOINT ["/bin/prometheus"]\n'
    )
    docker("build", "--quiet", "--network", "none", "-t", "prometheus:test", context)
    return "prometheus:test"


@pytest.fixture(scope="module")
def fleet(docker: Docker, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The fleet."""
    images.need("math", "code", "judge", "gateway")
    if shutil.which("docker-compose") is None:
        pytest.fail("not installed: docker-compose")
    if "wrapped" not in docker("info", "--format", "{{json .Runtimes}}"):
        pytest.skip("needs a daemon of these tests: the one that answers here has no runtime that unmasks /proc")
    made = Fleet(docker, tmp_path_factory.mktemp("compose"))
    try:
        made("up", "--detach")
        for name in ("math", "code", "judge"):
            wait_for(partial(_answers, made.ports[name]), name, 300)
        yield made
    finally:
        made("down", "--timeout", "5", "--volumes")


def _answers(port: int) -> bool:
    with suppress(RewardError):
        describe_server(f"127.0.0.1:{port}", timeout_s=5.0)
        return True
    return False


def test_it_scores_and_a_killed_server_costs_no_item(fleet: Fleet) -> None:
    endpoint = {"s": [f"127.0.0.1:{fleet.ports['math']}"]}
    with RewardClient(recipe("math"), endpoint, retries=Retries(unavailable_timeout_s=300.0)) as client:
        assert client.score(answers(64)).scores[:, 0].tolist() == [1.0, 0.0] * 32
        before = fleet.pid("math")
        kill = threading.Timer(0.3, os.kill, (before, signal.SIGKILL))
        kill.start()
        tables = [client.score(answers(512), step=step) for step in range(10)]
        kill.join()
        wait_for(lambda: fleet.pid("math") not in (0, before), "the engine's restart", 120)
        tables.append(client.score(answers(512), step=10))
    for table in tables:
        assert table.scores[:, 0].tolist() == [1.0, 0.0] * 256
    programs = [Rollout(f"r{n}", "Double it.", PROGRAM, group_id="g", reference=TESTS) for n in range(4)]
    with RewardClient(recipe("code"), {"s": [f"127.0.0.1:{fleet.ports['code']}"]}) as client:
        assert client.score(programs).scores[:, 0].tolist() == [1.0] * 4


def test_the_gateway_scores_over_http(fleet: Fleet) -> None:
    math = [{"response": f"\\boxed{{{n}}}", "task": "math", "reference": {"answer": "4"}} for n in (4, 5)]
    code = {"response": PROGRAM, "prompt": "Double it.", "task": "code", "reference": TESTS}
    url = f"http://127.0.0.1:{fleet.ports['gateway']}/v1/score"
    body = json.dumps({"rollouts": [*math, code]}).encode()

    def scored() -> bool:
        call = urllib.request.Request(url, body, {"content-type": "application/json"})
        with suppress(OSError), urllib.request.urlopen(call, timeout=60) as answer:
            return [item["reward"] for item in json.load(answer)["items"]] == [1.0, 0.0, 1.0]
        return False

    wait_for(scored, "the gateway's rewards", 300)


def test_prometheus_scrapes_every_server_and_knows_every_query(fleet: Fleet) -> None:
    def up() -> set[str]:
        with suppress(OSError):
            return {one["metric"]["instance"] for one in fleet.ask("query", query="up == 1")["result"]}
        return set()

    wait_for(lambda: up() == {"math:9464", "code:9464", "judge:9464"}, "three servers that are up", 120)
    groups = fleet.ask("rules")["groups"]
    assert sum(len(group["rules"]) for group in groups) > 5
    board = json.loads((DEPLOY / "grafana" / "assay.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) > 5
    now = time.time()
    for query in queries:
        for name in ("$__rate_interval", "$__range", "$__interval"):
            query = query.replace(name, "1m")
        fleet.ask("query_range", query=query, start=str(now - 60), end=str(now), step="15")

    def counted() -> bool:
        found = fleet.ask("query", query="sum(assay_items_total)")["result"]
        return bool(found) and float(found[0]["value"][1]) > 0

    wait_for(counted, "a scrape after items were scored", 120)


def test_a_server_that_is_told_to_stop_drains(fleet: Fleet, docker: Docker) -> None:
    name = fleet("ps", "--quiet", "math")
    fleet("stop", "math")
    assert docker.exit_code(name) == 0
    with pytest.raises(RewardError), RewardClient(recipe("math"), f"127.0.0.1:{fleet.ports['math']}") as client:
        client.describe()
