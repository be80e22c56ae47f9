"""Each image serves read-only, as an ordinary user without capabilities."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.conftest import Images
from tests.deploy.docker import CONFINED, UNMASKED, Docker, free_port, wait_for
from trainer_client import Recipe, Reward, RewardClient, Rollout, Server

pytestmark = pytest.mark.timeout(7200)  # images may be built first
PROGRAM = "```python\nprint(int(input()) * 2)\n```"
TESTS = {"tests": [{"stdin": "4\n", "stdout": "8\n"}]}
RECIPE = '[servers.s]\nverifiers = ["math"]\nendpoints = ["{address}"]\n[rewards.r]\nverifier = "math"\n'


def recipe(verifier: str) -> Recipe:
    """One reward, on a server ``s``."""
    return Recipe((Reward("r", verifier, deadline_s=120.0),), servers=(Server("s", (verifier,)),))


def answers(count: int) -> list[Rollout]:
    """Answers of which every second is right."""
    return [
        Rollout(
            rollout_id=f"r{n}",
            group_id=f"g{n // 8}",
            prompt="?",
            response=f"\\boxed{{{n % 2}}}",
            reference={"answer": "0"},
        )
        for n in range(count)
    ]


def test_the_math_image_is_small_and_scores_confined(docker: Docker, images: Images) -> None:
    images.need("math")
    assert images["assay-math:test"] < 400e6
    with (
        docker.server("assay-math:test", "math", "format") as (name, address),
        RewardClient(recipe("math"), {"s": [address]}) as client,
    ):
        table = client.score(answers(64))
        assert table.scores[:, 0].tolist() == [1.0, 0.0] * 32
        assert docker("exec", name, "assay", "health", address).endswith("serving")
        assert docker("exec", name, "id", "-u") == "65532"
        assert "Read-only file system" in docker("exec", name, "sh", "-c", "echo > /opt/assay/x", fine=(1, 2))


def test_the_code_image_runs_programs_with_the_two_options(docker: Docker, images: Images) -> None:
    images.need("code")
    rollouts = [
        Rollout(rollout_id=f"r{n}", group_id="g", response=PROGRAM, reference=TESTS, prompt="Double it.")
        for n in range(4)
    ]
    with (
        docker.server("assay-code:test", "code", options=UNMASKED) as (name, address),
        RewardClient(recipe("code"), {"s": [address]}) as client,
    ):
        assert client.score(rollouts).scores[:, 0].tolist() == [1.0] * 4
        docker("exec", name, "assay", "doctor", "code")


def test_without_the_options_the_code_image_says_which_to_give(docker: Docker, images: Images) -> None:
    images.need("code")
    said = docker("run", "--rm", "--network", "host", *CONFINED, "assay-code:test", "doctor", "code", fine=(1,))
    assert "seccomp=unconfined" in " ".join(said.split())


@contextmanager
def gateway(docker: Docker, folder: Path) -> Iterator[tuple[str, int]]:
    """The gateway's container with the recipe of a folder: its name and its port, once it listens."""
    port = free_port()
    command = ("/recipe/recipe.toml", "--port", str(port))
    mount = ("-v", f"{folder}:/recipe:ro")
    began = time.monotonic()
    name = docker("run", "-d", "--network", "host", *CONFINED, *mount, "assay-gateway:test", *command)[:12]
    try:
        wait_for(lambda: "listening on" in docker("logs", name), "the gateway")
        print(f"assay-gateway:test: listens after {time.monotonic() - began:.1f} s")
        yield name, port
    finally:
        docker("rm", "--force", name)


def listens(port: int) -> bool:
    """Whether a port of this host takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def rewards(port: int) -> list[float]:
    """What the gateway gives for a right answer and a wrong one."""
    asked = {"query": ["?\\boxed{4}", "?\\boxed{5}"], "prompts": ["?", "?"], "labels": ["4", "4"]}
    call = urllib.request.Request(
        f"http://127.0.0.1:{port}/openrlhf", json.dumps(asked).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(call, timeout=600) as answer:
        found: list[float] = json.load(answer)["rewards"]
    return found


def test_the_gateway_image_scores_over_http(docker: Docker, images: Images, tmp_path: Path) -> None:
    images.need("math", "gateway")
    with docker.server("assay-math:test", "math") as (_, address):
        (tmp_path / "recipe.toml").write_text(RECIPE.format(address=address))
        tmp_path.chmod(0o755)  # the server's user is not this one
        with gateway(docker, tmp_path) as (_, port):
            assert rewards(port) == [1.0, 0.0]


def test_the_client_image_holds_the_client_alone(docker: Docker, images: Images) -> None:
    images.need("client")
    probe = (
        "import trainer_client, importlib.util as u; print([u.find_spec(n) for n in ('pydantic', 'torch', 'sympy')])"
    )
    said = docker("run", "--rm", "--network", "none", *CONFINED, "assay-client:test", "-c", probe)
    assert said == "[None, None, None]"
