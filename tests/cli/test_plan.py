"""``assay plan``: what a sample costs, and what a run needs for it."""

from __future__ import annotations

import json
import math

from reward_servers.cli._cost import Cost
from tests.cli.conftest import Cli

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
