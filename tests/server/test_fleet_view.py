"""A fleet as an operator sees it: `assay up` with metrics, a real Prometheus over it, `assay health`, `assay top`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trainer_client import Recipe, Reward, RewardClient, Rollout, describe_server

_COMMAND = [sys.executable, "-P", "-m", "reward_servers"]
_TWICE = ("assay_items_total", "assay_server_restarts_total")
"""What has to be scraped twice, from the servers and from the supervisor."""
pytestmark = pytest.mark.xdist_group("fleet")
_DEPLOY = Path(__file__).parents[2] / "deploy"


def _free_ports(count: int) -> int:
    """The first of several free ports that follow each other."""
    for first in range(20_000 + os.getpid() % 1000 * 10, 32_000, 7):
        sockets = [socket.socket() for _ in range(count)]
        try:
            for place, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + place))
            return first
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
    raise AssertionError("no free ports")


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=120) as answer:
        return answer.read().decode()


@dataclass
class _Fleet:
    metrics: int
    addresses: list[str]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "recipe.toml").write_text(
        '[servers.one]\nverifiers = ["exact"]\n[servers.two]\nverifiers = ["length"]\n'
        '[rewards.right]\nverifier = "exact"\n[rewards.brief]\nverifier = "length"\noptions = { max = 3 }\n'
    )
    port = _free_ports(4)
    line = [*_COMMAND, "up", "recipe.toml", "--workers", "1", "--metrics-port", str(port), "--endpoints-file", "e.json"]
    with subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        while "ready" not in (said := process.stdout.readline()):
            assert said
        try:
            endpoints = json.loads((folder / "e.json").read_text())
            recipe = Recipe((Reward("right", "exact"),), advantage=None)
            with RewardClient(recipe, {"exact": endpoints["one"]}) as client:
                client.score([Rollout(f"r{n}", "q", "a", reference={"answer": "a"}) for n in range(20)])
            yield _Fleet(port, [address for one in endpoints.values() for address in one])
        finally:
            process.send_signal(signal.SIGHUP)
            process.communicate(timeout=240)


def _assay(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=240)


def test_health_says_who_serves_and_exits_accordingly(fleet: _Fleet) -> None:
    well = _assay("health", *fleet.addresses)
    assert (well.returncode, well.stdout.count("serving")) == (0, 2)
    sick = _assay("health", fleet.addresses[0], "127.0.0.1:1", "--timeout-s", 60, "--json")
    assert sick.returncode == 1
    assert [one["serving"] for one in json.loads(sick.stdout)] == [True, False]
    assert _assay("health").returncode == 2


def test_top_shows_every_verifier_of_every_server(fleet: _Fleet) -> None:
    lines = _assay("top", "--once", *fleet.addresses).stdout.splitlines()
    exact = next(line for line in lines if " exact " in line)
    assert exact.split()[4:6] == ["20", "0"]
    info = describe_server(fleet.addresses[0], with_activity=True)
    who = info.verifiers["exact"].id
    assert exact.split()[-2:] == [who.version, who.digest.removeprefix("sha256:")[:12]]
    assert next(line for line in lines if line.startswith("addr:127.0.0.1")).split()[-1] == "20"
    assert [(one.name, one.items) for one in info.clients] == [("addr:127.0.0.1", 20)]
    assert any(" length " in line for line in lines)
    idle = next(line for line in lines if " length " in line)
    assert "0 µs" not in idle
    slow = _assay("top", "--once", "--slow", *fleet.addresses).stdout
    assert slow.startswith(("server", "no item of the last ten minutes took longer than 50 ms"))


def test_top_says_which_server_does_not_answer_and_why(fleet: _Fleet) -> None:
    done = _assay("top", "--once", fleet.addresses[0], "127.0.0.1:1")
    assert done.returncode == 1
    assert "127.0.0.1:1: no reward server answers (UNAVAILABLE" in done.stdout
    assert " exact " in done.stdout


def test_a_supervisor_tells_of_its_servers_and_where_their_metrics_are(fleet: _Fleet) -> None:
    assert 'assay_server_up{server="one"} 1' in _get(f"http://127.0.0.1:{fleet.metrics}/metrics")
    targets = json.loads(_get(f"http://127.0.0.1:{fleet.metrics}/targets"))
    assert {one["labels"]["server"] for one in targets} == {"one", "two"}
    for one in targets:
        assert "assay_build_info" in _get(f"http://{one['targets'][0]}/metrics")


def _queries() -> list[str]:
    panels = json.loads((_DEPLOY / "grafana" / "assay.json").read_text())["panels"]
    found = [target["expr"] for panel in panels for target in panel["targets"]]
    return [query.replace("$__rate_interval", "1m").replace("$__range", "1h") for query in found]


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
def test_a_prometheus_evaluates_every_rule_and_every_panel_over_a_running_fleet(fleet: _Fleet, tmp_path: Path) -> None:
    text = (_DEPLOY / "prometheus" / "prometheus.yml").read_text().replace("9464", str(fleet.metrics))
    # The time that a scrape may take is that between two: on a loaded machine a second is too short.
    (tmp_path / "prometheus.yml").write_text(text.replace("15s", "4s").replace("30s", "4s"))
    shutil.copy(_DEPLOY / "prometheus" / "assay_rules.yml", tmp_path)
    with _prometheus(tmp_path) as port:
        _wait_until_scraped_twice(port)
        empty = [query for query in _queries() if not _ask(port, query)]
        # What has not happened has no sample: no fault, no refused call, no worker, no client in flight.
        for query in empty:
            assert any(name in query for name in ("fault", "OK", "worker", "in_flight)")), query
        groups = json.loads(_get(f"http://127.0.0.1:{port}/api/v1/rules"))["data"]["groups"]
        rules = [rule for one in groups for rule in one["rules"]]
        assert len(rules) == 11
        assert {rule["lastError"] for rule in rules if "lastError" in rule} <= {""}
        assert not [rule["name"] for rule in rules if rule["state"] == "firing"]


@contextmanager
def _prometheus(folder: Path) -> Iterator[int]:
    """A Prometheus with the configuration of a folder; its port. Where another has taken it, the next one is tried."""
    for _ in range(5):
        port = _free_ports(1)
        line = ["prometheus", "--config.file=prometheus.yml", f"--web.listen-address=127.0.0.1:{port}"]
        with (folder / "log").open("w") as log, subprocess.Popen(line, cwd=folder, stderr=log) as process:
            try:
                while process.poll() is None:
                    try:
                        _get(f"http://127.0.0.1:{port}/-/ready")
                    except OSError:
                        time.sleep(0.2)
                        continue
                    yield port
                    return
            finally:
                process.terminate()
    raise AssertionError((folder / "log").read_text())


def _wait_until_scraped_twice(port: int) -> None:
    ends = time.monotonic() + 240
    while True:
        with suppress(OSError):
            up = _ask(port, 'up{job="assay"} == 1')
            if len(up) == 2 and all(_ask(port, f"increase({name}[1m])") for name in _TWICE):
                return
        targets = _get(f"http://127.0.0.1:{port}/api/v1/targets")
        assert time.monotonic() < ends, f"the servers were not scraped: {targets}"
        time.sleep(0.5)


def _ask(port: int, query: str) -> list[Any]:
    answer = json.loads(_get(f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"))
    assert answer["status"] == "success", (query, answer)
    return list(answer["data"]["result"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "check",
    ["check config prometheus.yml", "check rules assay_rules.yml", "test rules assay_rules_test.yml"],
)
def test_promtool_finds_nothing_wrong(check: str) -> None:
    done = subprocess.run(
        ["promtool", *check.split()], cwd=_DEPLOY / "prometheus", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
