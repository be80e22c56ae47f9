"""A server that is away when the gateway starts costs its own rewards alone, and is compared when it comes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.conftest import PATIENCE, ROOT, Served, get, post
from tests.gateway.test_routes import GYM
from tests.ports import kept_port

RIGHT = {"response": "2", "reference": {"answer": "2"}, "task": "sums"}
SHORT = {"response": "2", "task": "texts"}
HASTE = "[client.retries]\nunavailable_timeout_s = 1.0\n"


@contextlib.contextmanager
def served(folder: Path, *arguments: str) -> Iterator[Served]:
    """A process of this project's command that listens."""
    started = Served(folder / f"{arguments[0]}.log", *arguments)
    try:
        started.wait_for_address()
        yield started
    finally:
        started.stop()


def recipe(folder: Path, here: str, late: int, reward: str, head: str = HASTE) -> str:
    """A recipe of a server that answers and of one that is to come on a port."""
    path = folder / "recipe.toml"
    path.write_text(
        f'{head}\n[servers.here]\nverifiers = ["exact"]\nendpoints = ["{here}"]\n'
        f'[servers.late]\nverifiers = ["length"]\nendpoints = ["127.0.0.1:{late}"]\n'
        f'[rewards.right]\nverifier = "exact"\ntasks = ["sums"]\n'
        f'[rewards.short]\nverifier = "length"\ntasks = ["texts"]\n{reward}'
    )
    return str(path)


def items(url: str, *rollouts: dict[str, Any]) -> Any:
    answer = post(f"{url}/v1/score", json={"rollouts": rollouts})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


def single(url: str, rollout: dict[str, Any]) -> Any:
    """The answer to a single sample, by a route that tells its task."""
    return post(f"{url}/verify", json={**GYM, "task": rollout["task"]})


def until_ready_says(url: str, status: int, words: Sequence[str] = ()) -> dict[str, Any]:
    """What /ready answers once it has a status and says some words."""
    ends = time.monotonic() + PATIENCE
    while True:
        answer = get(f"{url}/ready")
        if answer.status_code == status and all(word in answer.text for word in words):
            told: dict[str, Any] = answer.json()
            return told
        assert time.monotonic() < ends, answer.text
        time.sleep(0.1)


def test_a_server_that_is_away_costs_its_own_rewards_alone(reward_server: str, tmp_path: Path) -> None:
    with kept_port() as port:
        options = recipe(tmp_path, reward_server, port, "options = { max = 100 }\n")
        with served(tmp_path, "gateway", options, "--port", "0") as gateway:
            url = gateway.address
            assert f"server 'late': not asked what it hosts: 127.0.0.1:{port}" in gateway.said
            told = until_ready_says(url, 503, [f"127.0.0.1:{port}"])
            assert list(told["servers"]) == ["late"]
            assert "server 'late'" in told["reason"]
            first, second = items(url, RIGHT, SHORT)
            assert first["reward"] == 1.0
            assert (second["reward"], second["valid"]) == (None, False)
            assert second["scores"]["short"]["code"] == "unavailable"
            assert f"127.0.0.1:{port}" in second["scores"]["short"]["message"]
            # Single samples, which ask before the first whether a verifier judges groups.
            assert single(url, RIGHT).json()["reward"] == 1.0
            missing = single(url, SHORT)
            assert (missing.status_code, missing.json()["error"]["code"]) == (503, "no_reward")
            rewards = {reward["name"]: reward for reward in get(f"{url}/v1/recipe").json()["rewards"]}
            assert rewards["right"]["answers"].startswith("exact@")
            assert rewards["short"]["answers"] is None
            assert f"127.0.0.1:{port}" in rewards["short"]["unavailable"]
            with served(tmp_path, "serve", "length", "--port", str(port), "--workers", "1"):
                until_ready_says(url, 200)
                assert [item["reward"] for item in items(url, RIGHT, SHORT)] == [1.0, 1.0]
                assert single(url, SHORT).json()["reward"] == 1.0


@pytest.mark.parametrize(
    ("hosts", "reward", "reason"),
    [
        ("exact", "options = { max = 100 }\n", "does not host 'length'"),
        ("length", "options = { most = 100 }\n", "most"),
        # The client itself would score with this one: the gate would never open.
        ("length", "options = { max = 100 }\ngate = { at_least = 2.0 }\n", "never opens"),
    ],
)
def test_one_that_comes_and_does_not_fit_is_refused_and_named(
    reward_server: str, tmp_path: Path, hosts: str, reward: str, reason: str
) -> None:
    with kept_port() as port:
        options = recipe(tmp_path, reward_server, port, reward)
        with served(tmp_path, "gateway", options, "--port", "0") as gateway:
            url = gateway.address
            with served(tmp_path, "serve", hosts, "--port", str(port), "--workers", "1"):
                told = until_ready_says(url, 503, [reason])
                assert list(told["servers"]) == ["late"]
                assert "server 'late' answers and does not fit the recipe" in gateway.said
                assert reason in gateway.said
                for answer in (post(f"{url}/v1/score", json={"rollouts": [RIGHT, SHORT]}), single(url, SHORT)):
                    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "recipe_refused")
                    assert reason in answer.text
                lines = post(f"{url}/v1/score", json={"rollouts": [SHORT], "stream": True}).text.splitlines()
                assert [json.loads(line)["error"]["code"] for line in lines] == ["recipe_refused"]
                assert [item["reward"] for item in items(url, RIGHT)] == [1.0]
                assert single(url, RIGHT).json()["reward"] == 1.0


def test_one_that_is_mended_is_asked_again(reward_server: str, tmp_path: Path) -> None:
    with kept_port() as port:
        options = recipe(tmp_path, reward_server, port, "options = { max = 100 }\n")
        with served(tmp_path, "gateway", options, "--port", "0") as gateway:
            url = gateway.address
            with served(tmp_path, "serve", "exact", "--port", str(port), "--workers", "1"):
                until_ready_says(url, 503, ["does not host 'length'"])
            with served(tmp_path, "serve", "length", "--port", str(port), "--workers", "1"):
                until_ready_says(url, 200)
                assert [item["reward"] for item in items(url, RIGHT, SHORT)] == [1.0, 1.0]
            assert "server 'late' answers, and fits the recipe" in gateway.said


def test_what_comes_while_it_is_waited_for_gives_no_score_before_it_fits(reward_server: str, tmp_path: Path) -> None:
    with kept_port() as port:
        patient = "[client.retries]\nunavailable_timeout_s = 240.0\ndescribe_timeout_s = 240.0\n"
        options = recipe(tmp_path, reward_server, port, "options = { max = 100 }\ngate = { at_least = 2.0 }\n", patient)
        with served(tmp_path, "gateway", options, "--port", "0") as gateway:
            waiting = subprocess.Popen(
                [sys.executable, "-c", _ASKING, gateway.address, json.dumps({"rollouts": [SHORT]})],
                stdout=subprocess.PIPE, text=True, cwd=ROOT,
            )  # fmt: skip
            try:
                # Until it is waited for: a batch that is under way is held.
                until_ready_says(gateway.address, 503, ["late"])
                with served(tmp_path, "serve", "length", "--port", str(port), "--workers", "1"):
                    told, _ = waiting.communicate(timeout=PATIENCE)
            finally:
                waiting.kill()
                waiting.wait()
            assert "never opens" in told
            assert '"score"' not in told


_ASKING = """
import sys, httpx
print(httpx.post(sys.argv[1] + "/v1/score", content=sys.argv[2], timeout=240).text)
"""


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ('tasks = ["sums"]', 'tasks = ["sums"]\nwieght = 1', "wieght"),
        ('tasks = ["sums"]', 'tasks = ["sums"]\noptions = { no_such = 1 }', "no_such"),
        ('verifier = "exact"', 'verifier = "exact@99"', "version"),
        ('"exact"', '"math"', "does not host 'math'"),
    ],
)
def test_what_is_known_to_be_wrong_is_refused_at_the_start_though_a_server_is_away(
    reward_server: str, tmp_path: Path, right: str, wrong: str, reason: str
) -> None:
    with kept_port() as port:
        path = Path(recipe(tmp_path, reward_server, port, "options = { max = 100 }\n"))
        path.write_text(path.read_text().replace(right, wrong))
        done = subprocess.run(
            [sys.executable, "-m", "reward_servers", "gateway", str(path), "--port", "0"],
            capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
