"""``assay plan``: what a sample costs, and what a run needs for it."""

from __future__ import annotations

import asyncio
import json
import math
import os
from pathlib import Path

import pytest

from reward_servers.cli import _plan
from reward_servers.cli._cost import Cost
from tests.cli.conftest import Cli
from trainer_client import Recipe, Rollout, Server, read_rollouts

RECIPE = """
[rewards.slow]
verifier = "probe/slow"
tasks = ["hard"]

[rewards.length]
verifier = "probe/length"
"""


def _sample(cli: Cli, count: int = 24) -> None:
    rows = [
        {"rollout_id": f"r{n}", "prompt": "?", "response": str(n), "task": "hard" if n % 4 == 0 else "easy"}
        for n in range(count)
    ]
    cli.rollouts("sample.jsonl", *rows)
    cli.write("recipe.toml", RECIPE)


def test_replicas_follow_from_the_measured_cost_and_the_share_of_tasks(cli: Cli) -> None:
    _sample(cli)
    wanted = ("--rollouts-per-step", 40_000, "--step-s", 10, "--workers", 1, "--measure-s", 0.3)
    found = json.loads(cli.run("plan", "sample.jsonl", "--recipe", "recipe.toml", *wanted, "--json").stdout)
    servers = {row["server"]: row for row in found["servers"]}
    slow, quick = servers["probe/slow"], servers["probe/length"]
    assert (slow["items_per_step"], quick["items_per_step"]) == (10_000, 40_000)
    # An item sleeps for 10 ms: one worker cannot do more than 100 in a second.
    assert 0 < slow["items_per_second"] <= 100
    left = 10 / 1.3 - slow["start_seconds"]
    assert slow["replicas"] == math.ceil(10_000 / slow["items_per_second"] / left) >= 13
    assert slow["seconds_with_these"] <= 10 / 1.3
    assert quick["replicas"] <= slow["replicas"]
    assert found["client_seconds"] > 0


def test_a_step_that_is_shorter_than_an_item_is_refused() -> None:
    cost = Cost("s", ["v"], share=1.0, rate=100.0, start=2.0, client=0.0)
    assert cost.row(1000, 10.0, 0.25)["replicas"] == 2
    assert cost.row(1000, 2.5, 0.25)["replicas"] is None


def test_what_a_run_would_not_pay_for_is_no_measure(cli: Cli) -> None:
    _sample(cli)
    wanted = ("--rollouts-per-step", 10, "--step-s", 1)
    said = cli.error("plan", "sample.jsonl", "--verifier", "probe/down", *wanted)
    assert "24 of 24 items of the sample have no score" in said
    assert "broken: nothing works" in said
    cli.write(
        "elsewhere.toml",
        '[rewards.a]\nverifier = "exact"\n[servers.s]\nverifiers = ["exact"]\nendpoints = ["127.0.0.1:1"]\n',
    )
    said = cli.error("plan", "sample.jsonl", "--recipe", "elsewhere.toml", *wanted)
    assert "plan measures only servers that it starts itself" in said


def test_each_server_is_asked_for_its_own_rollouts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows of two tasks in turns: a server's sample is cut into two parts that both have work for it."""
    given: dict[str, list[str]] = {}

    async def cost_of(_client: object, server: Server, rollouts: list[Rollout], *_more: object) -> Cost:
        given[server.name] = [rollout.task for rollout in rollouts]
        return Cost(server.name, server.verifiers, share=1.0, rate=100.0, start=0.0, client=0.0)

    monkeypatch.setattr(_plan, "cost_of", cost_of)
    recipe, sample = tmp_path / "recipe.toml", tmp_path / "sample.jsonl"
    recipe.write_text(
        '[rewards.a]\nverifier = "exact"\ntasks = ["a"]\n[rewards.b]\nverifier = "choice"\ntasks = ["b"]\n'
        '[servers.a]\nverifiers = ["exact"]\n[servers.b]\nverifiers = ["choice"]\n'
    )
    rows = [{"group_id": f"g{n}", "response": "x", "task": "ab"[n % 2]} for n in range(8)]
    sample.write_text("".join(json.dumps(row) + "\n" for row in rows))
    costs = asyncio.run(
        _plan._measure(Recipe.load(recipe), recipe, read_rollouts(sample).rollouts, 0.1, 1, verbose=False)
    )
    assert given == {"a": ["a"] * 4, "b": ["b"] * 4}
    assert [cost.share for cost in costs] == [0.5, 0.5]


def test_a_replica_larger_than_this_host_is_not_measured(cli: Cli) -> None:
    _sample(cli)
    many = len(os.sched_getaffinity(0)) + 1
    wanted = ("--rollouts-per-step", 10, "--step-s", 1, "--verifier", "probe/length")
    said = cli.error("plan", "sample.jsonl", *wanted, "--workers", many)
    assert f"--workers {many}: this command may use" in said
    assert "Invalid value for '--workers'" in cli.error("plan", "sample.jsonl", *wanted, "--workers", 100_000)


def test_a_long_measurement_says_how_long(cli: Cli) -> None:
    """A worker has 0.8 s for half of the items at least, which sleep for 10 ms each."""
    _sample(cli, 160)
    wanted = ("--rollouts-per-step", 10, "--step-s", 100, "--workers", 1, "--measure-s", 0.1)
    done = cli.run("plan", "sample.jsonl", "--verifier", "probe/slow", *wanted)
    assert "server 'probe/slow' is measured with 160 rollouts, again and again" in done.stderr
    assert "server 'probe/slow': the measurement takes some " in done.stderr


def test_what_cannot_be_planned_is_told_before_a_server_is_started(cli: Cli) -> None:
    _sample(cli)
    wanted = ("--rollouts-per-step", 10, "--verifier", "probe/length")
    assert "Invalid value for '--step-s'" in cli.error("plan", "sample.jsonl", *wanted, "--step-s", "inf")
    cli.write("wrong.toml", '[rewards.a]\nverifier = "exact"\n[rewards.a.options]\nnothing = 1\n')
    said = cli.error("plan", "sample.jsonl", "--recipe", "wrong.toml", "--rollouts-per-step", 10, "--step-s", 1)
    assert "wrong.toml:4: rewards.a.options.nothing: there is no such field" in said


def test_rows_that_cannot_be_used_are_counted(cli: Cli) -> None:
    source = cli.write("some.jsonl", '{"response": "x"}\n{"response": []}\nbroken\n')
    wanted = ("--rollouts-per-step", 10, "--step-s", 1, "--measure-s", 0.1, "--workers", 1)
    done = cli.run("plan", source, "--verifier", "probe/length", *wanted)
    assert "the plan is made of 1 rollouts; rows left out: 2" in done.stderr
