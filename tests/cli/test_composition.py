"""A recipe whose verifiers ask one another, each in a server of its own: the servers find each other."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reward_servers.verifiers.judge import Judge
from tests.cli.conftest import Cli, read_line, servers_of, wait_until
from tests.fakes.chat_server import FakeChatServer, Said
from tests.typed import declared
from trainer_client import RewardClient, read_rollouts

RECIPE = """
advantage = "none"

[servers.model]
verifiers = ["judge"]
config = "judge.toml"

[servers.criteria]
verifiers = ["rubric"]

[rewards.quality]
verifier = "rubric"
"""
PRICES = "[verifiers.judge.spend]\ninput_price = 10\noutput_price = 20\n"
COST = (200 * 10 + 14 * 20) / 1e6
"""Of the two calls for a rollout, 100 tokens read and 7 written each."""
CRITERIA = [{"id": "true", "text": "It is true."}, {"id": "kind", "text": "It is kind."}]


def says(request: dict[str, Any], number: int) -> Said | str:
    asked = request["messages"][1]["content"]
    return "correct: yes" if "good" in asked or "kind" in asked else "correct: no"


@pytest.fixture
def judge() -> Iterator[tuple[FakeChatServer, str]]:
    fake = FakeChatServer(says)
    with fake.running() as url:
        yield fake, url


def prepare(cli: Cli, url: str) -> tuple[Path, Path]:
    cli.write("judge.toml", f'[verifiers.judge]\nbase_url = "{url}"\nmodel = "m"\ntotal_timeout_s = 5\n{PRICES}')
    rows = [{"response": text, "reference": {"rubric": CRITERIA}} for text in ("good", "bad")]
    return cli.write("recipe.toml", RECIPE), cli.rollouts("in.jsonl", *rows)


def test_score_starts_a_server_that_no_reward_names(cli: Cli, judge: tuple[FakeChatServer, str]) -> None:
    recipe, rollouts = prepare(cli, judge[1])
    cli.run("score", rollouts, "--recipe", recipe, "-o", "out.jsonl", "--evidence")
    lines = [json.loads(line) for line in (cli.folder / "out.jsonl").read_text().splitlines()]
    assert [line["scores"]["quality"] for line in lines] == [1.0, 0.5]
    assert lines[0]["evidence"]["quality"]["used"]["judge"]["version"] == declared(Judge).version


def test_up_introduces_its_servers_and_a_restarted_one_is_found_again(
    cli: Cli, judge: tuple[FakeChatServer, str]
) -> None:
    recipe, rollouts = prepare(cli, judge[1])
    process = cli.start("up", recipe, "--workers", 1, "--endpoints-file", "endpoints.json")
    while read_line(process.stdout) != "ready":
        assert process.poll() is None
    wait_until((cli.folder / "endpoints.json").exists, "the endpoints file")
    endpoints = json.loads((cli.folder / "endpoints.json").read_text())
    batch = read_rollouts(rollouts).rollouts
    with RewardClient(recipe, endpoints) as client:
        table = client.score(batch)
        assert table.scores[:, 0].tolist() == [1.0, 0.5]
        usage = table.cell(0, "quality").usage
        assert (usage["upstream_calls"], usage["input_tokens"], usage["output_tokens"]) == (2, 200, 14)
        assert usage["cost"] == pytest.approx(COST)
        (quality,) = table.summary().rewards
        assert (quality.upstream_calls, quality.input_tokens, quality.output_tokens) == (4, 400, 28)
        assert quality.cost == pytest.approx(2 * COST)
        assert re.search(rf"^cost +{2 * COST:.6g} ", str(table.summary()), re.MULTILINE)
        asked = len(judge[0].requests)
        (judging,) = (one for one in servers_of(process.pid) if "judge" in one.cmdline())
        os.kill(judging.pid, signal.SIGKILL)
        table = client.score(batch)
        assert table.scores[:, 0].tolist() == [1.0, 0.5]
    assert len(judge[0].requests) == asked + 4
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
