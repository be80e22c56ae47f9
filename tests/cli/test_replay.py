"""``assay replay``: what a record says was asked is asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from trainer_client import RewardClient, Rollout

RECIPE = 'max_missing = 1.0\n[record]\nfolder = "record"\n[rewards.right]\nverifier = "exact"\n'


def test_a_run_is_reported_replayed_and_what_changed_is_listed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cli.folder)
    recipe = cli.write("r.toml", RECIPE)
    address = cli.serve("exact")
    with RewardClient(recipe, address) as client:
        for step in range(2):
            rollouts = [
                Rollout(f"r{n}", "q", str(n), group_id="g", reference={"answer": "1"}, finish_reason="stop")
                for n in (0, 1)
            ]
            client.score(rollouts, step=step, seed=3)
    done = cli.run("replay", "record", "-r", recipe).stdout
    assert done == "4 rollouts in both; 0 verdicts and 0 rewards changed\n"
    assert cli.run("compare", "record", "record").stdout.startswith("4 rollouts in both; 0 verdicts")
    assert "group step 0: g: 2 rollouts (group 1 of 2)" in cli.run("view", "record", "-g", "step 0: g").stdout
    cli.run("report", "record")
    assert "Latency" in (cli.folder / "report.html").read_text()

    file = cli.folder / "record" / "step-00000001.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[0]["scores"]["right"] = 1.0
    Path(file).write_text("\n".join(map(json.dumps, rows)))
    changed = cli.run("replay", "record", "-r", recipe, "--step", 1, code=1).stdout
    assert "2 rollouts in both; 1 verdicts" in changed
    assert "step 1: r0  right: 1 wrong -> 0 wrong" in changed
    other = cli.write("other.toml", RECIPE.replace('"exact"', '"length"\noptions = { max = 5 }'))
    reasons = cli.run("replay", "record", "-r", other, "--step", 0, code=1).stdout
    assert "why: the recipe is not the one that was recorded" in reasons
    assert "why: right: exact@" in reasons
    assert "there is no step 9" in cli.error("replay", "record", "-r", recipe, "--step", 9)
    assert "row 1 is not from a record" in cli.error(
        "replay", cli.rollouts("in.jsonl", {"response": "x"}), "-r", recipe
    )
