"""Each image is told to stop while it holds items: they are finished, the rest goes to its replica, none is lost.

What answers is held first, by signals to the processes that judge or by the judge's own endpoint, so that the engine's
word comes in the middle of a step on any machine.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from tests.deploy.conftest import Images
from tests.deploy.docker import UNMASKED, Docker, wait_for
from tests.deploy.test_images import PROGRAM, RECIPE, TESTS, answers, gateway, listens, recipe, rewards
from tests.fakes.chat_server import FakeChatServer
from trainer_client import RewardClient, Rollout, describe_server

pytestmark = pytest.mark.timeout(7200)  # images may be built first
WRONG = "```python\nprint(int(input()) * 3)\n```"
STEP = 128
"""Rollouts of a step: enough for a call to each of two replicas."""
PROGRAMS = [
    Rollout(f"p{n}", "Double it.", (PROGRAM, WRONG)[n % 2], group_id=f"g{n // 4}", reference=TESTS) for n in range(STEP)
]


@dataclass(frozen=True)
class Kind:
    """An image with work for it.

    Attributes:
        verifier: What it hosts.
        rollouts: A step.
        expected: Their scores; None where a model of random weights gives them.
        options: More for the engine.
        settings: A settings file, in which JUDGE is filled in.
    """

    verifier: str
    rollouts: list[Rollout]
    expected: list[float] | None
    options: tuple[str, ...] = ()
    settings: str = ""


KINDS = {
    "math": Kind("math", answers(STEP), [1.0, 0.0] * (STEP // 2)),
    "code": Kind("code", PROGRAMS, [1.0, 0.0] * (STEP // 2), UNMASKED),
    "judge": Kind(
        *("judge", answers(STEP), [1.0, 0.0] * (STEP // 2)),
        settings='[verifiers.judge]\nbase_url = "JUDGE"\nmodel = "m"\n',
    ),
    "preference": Kind(
        *("preference", [replace(one, prompt="w1 w2", response=f"w{n + 3}") for n, one in enumerate(answers(STEP))]),
        expected=None,
        settings='[verifiers.preference]\npath = "/etc/assay/model"\n',
    ),
}


class Held:
    """What keeps the items of one server from being answered, until it is let go."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._workers: list[psutil.Process] = []

    def reply(self, request: dict[str, object], _number: int) -> str:
        """What the judge's endpoint says, when it may."""
        assert self._open.wait(600)
        return "correct: yes" if "boxed{0}" in str(request["messages"]) else "correct: no"

    def hold(self, main: int) -> None:
        """From now on: the judge's endpoint, and the processes below the server's."""
        self._open.clear()
        self._workers = psutil.Process(main).children(recursive=True)
        for one in self._workers:
            one.suspend()

    def let_go(self) -> None:
        """No more."""
        self._open.set()
        for one in self._workers:
            with suppress(psutil.NoSuchProcess):
                one.resume()


@contextmanager
def settings_of(kind: Kind, held: Held, folder: Path) -> Iterator[tuple[str, ...]]:
    """The engine's options and the settings file that they bring into the container."""
    if not kind.settings:
        yield kind.options
        return
    if kind.verifier == "preference":
        from tests.engines.models import tiny

        tiny.llama(folder / "model")
    with FakeChatServer(held.reply).running() as url:
        (folder / "settings.toml").write_text(kind.settings.replace("JUDGE", url))
        for path in (folder, *folder.rglob("*")):  # the server's user is not this one
            path.chmod(0o755)
        yield (*kind.options, "-v", f"{folder}:/etc/assay:ro", "-e", "OPENAI_API_KEY=none")


def stop(docker: Docker, name: str, held: Held) -> None:
    """Tell a container to stop, let its items go once it drains, and wait for its end."""
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(docker, "stop", "--time", "600", name)
        wait_for(lambda: "draining; items held" in docker("logs", name) or stopping.done(), f"{name} drains", 300)
        held.let_go()
        stopping.result()


@pytest.mark.parametrize("name", KINDS)
def test_a_server_that_is_stopped_in_a_step_loses_nothing(
    docker: Docker, images: Images, name: str, tmp_path: Path
) -> None:
    images.need(name)
    kind, held, image = KINDS[name], Held(), f"assay-{name}:test"
    with settings_of(kind, held, tmp_path) as options:
        # Without a cache: nothing is answered from what was judged before.
        arguments = [kind.verifier, "--workers", "2", "--cache-bytes", "0"]
        arguments += ["--config", "/etc/assay/settings.toml"] if kind.settings else []
        with (
            docker.server(image, *arguments, options=options) as (first, one),
            docker.server(image, *arguments, options=options) as (_, other),
            RewardClient(recipe(kind.verifier), {"s": [one, other]}) as client,
            ThreadPoolExecutor(1) as pool,
        ):
            before = client.score(kind.rollouts)
            assert before.valid.all()
            expected = kind.expected or before.scores[:, 0].tolist()
            held.hold(int(docker("inspect", "--format", "{{.State.Pid}}", first)))
            try:
                step = pool.submit(client.score, kind.rollouts, step=1)
                wait_for(lambda: step.done() or describe_server(one).items_in_flight > 0, "items in flight", 300)
                stop(docker, first, held)
            finally:
                held.let_go()
            tables = [before, step.result(), client.score(kind.rollouts, step=2)]
            (drained,) = re.findall(r"draining; items held: (\d+)", docker("logs", first))
            assert int(drained) > 0
            assert docker.exit_code(first) == 0
    for table in tables:
        assert table.scores[:, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_gateway_that_is_stopped_answers_what_it_has_taken(docker: Docker, images: Images, tmp_path: Path) -> None:
    images.need("math", "gateway")
    held = Held()
    with docker.server("assay-math:test", "math", "--cache-bytes", "0") as (server, address):
        (tmp_path / "recipe.toml").write_text(RECIPE.format(address=address))
        tmp_path.chmod(0o755)  # the server's user is not this one
        with gateway(docker, tmp_path) as (name, port), ThreadPoolExecutor(2) as pool:
            held.hold(int(docker("inspect", "--format", "{{.State.Pid}}", server)))
            try:
                asked = pool.submit(rewards, port)
                wait_for(lambda: asked.done() or describe_server(address).items_in_flight > 0, "items in flight", 300)
                stopping = pool.submit(docker, "stop", "--time", "600", name)
                wait_for(lambda: stopping.done() or not listens(port), "the gateway takes no more", 300)
                assert not asked.done()
            finally:
                held.let_go()
            assert asked.result() == [1.0, 0.0]
            stopping.result()
            assert docker.exit_code(name) == 0
