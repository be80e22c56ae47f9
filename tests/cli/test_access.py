"""Servers that ask for a token, asked by commands."""

from __future__ import annotations

import json

from tests.cli.conftest import Cli, read_line

TOKENS = """
[clients.trainer]
token = "open sesame, and more"
scopes = ["score"]
"""
ROLLOUT = {"response": "4", "group_id": "g", "reference": {"answer": "4"}}


def test_commands_give_a_token_to_servers_that_ask_for_one(cli: Cli) -> None:
    cli.write("tokens.toml", TOKENS)
    process = cli.start(
        "serve", "exact", "--workers", 1, "--config", cli.write("server.toml", '[auth]\ntokens = "tokens.toml"\n')
    )
    address = read_line(process.stdout).split()[2]
    cli.write("given.txt", "open sesame, and more\n")

    assert "give --token" in cli.error("list", "--endpoint", address)
    for token in ("open sesame, and more", "file:given.txt"):
        rows = json.loads(cli.run("list", "--endpoint", address, "--token", token, "--json").stdout)
        assert [row["name"] for row in rows] == ["exact"]

    source = cli.rollouts("in.jsonl", ROLLOUT)
    recipe = cli.write("r.toml", f'[servers.one]\nendpoints = ["{address}"]\nverifiers = ["exact"]\n'
                                 '[rewards.right]\nverifier = "exact"\n')  # fmt: skip
    cli.error("score", source, "--recipe", recipe)
    assert (
        json.loads(cli.run("score", source, "-r", recipe, "--token", "open sesame, and more", "--json").stdout)[
            "rewarded"
        ]
        == 1
    )
    cases = cli.rollouts("cases.jsonl", {**ROLLOUT, "expected": {"score": 1.0}})
    agreed = cli.run(
        "check", "exact", "--cases", cases, "--endpoint", address, "--token", "open sesame, and more", "--json"
    )
    assert json.loads(agreed.stdout)["agree"] == 1

    refused, seen = (
        json.loads(cli.run("health", address, *token, "--json", code=code).stdout)[0]
        for token, code in (((), 1), (("--token", "open sesame, and more"), 0))
    )
    assert (refused["state"], seen["state"]) == ("unauthenticated", "serving")


def test_a_token_is_not_sent_unencrypted_to_another_host(cli: Cli) -> None:
    assert "not sent unencrypted" in cli.error("list", "--endpoint", "192.0.2.1:50051", "--token", "secret")
    seen = json.loads(cli.run("health", "192.0.2.1:50051", "--token", "secret", "--json", code=1).stdout)
    assert (seen[0]["state"], "not sent unencrypted" in seen[0]["problem"]) == ("not asked", True)
