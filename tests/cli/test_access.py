"""Servers that ask for a token, asked by commands."""

from __future__ import annotations

import json

import trustme

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


def test_each_server_of_a_recipe_gets_its_own_token_and_is_asked_by_its_own_files(cli: Cli) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(cli.folder / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(cli.folder / "server.pem"))
    issued.private_key_pem.write_to_path(str(cli.folder / "server.key"))
    encrypted = '[server.tls]\ncertificate = "server.pem"\nkey = "server.key"\n'
    tables = ""
    for number, (verifier, more) in enumerate((("exact", encrypted), ("length", ""))):
        secret = f"the secret of server {number}"
        cli.write(f"tokens{number}.toml", f'[clients.trainer]\ntoken = "{secret}"\nscopes = ["score"]\n')
        cli.write(f"given{number}", secret)
        settings = cli.write(f"server{number}.toml", f'{more}[auth]\ntokens = "tokens{number}.toml"\n')
        address = read_line(cli.start("serve", verifier, "--workers", 1, "--config", settings).stdout).split()[2]
        tls = 'tls = { ca = "ca.pem" }\n' if more else ""
        tables += f'[servers.s{number}]\nendpoints = ["{address}"]\nverifiers = ["{verifier}"]\n'
        tables += f'token = "file:given{number}"\n{tls}'
    tables += '[rewards.right]\nverifier = "exact"\n[rewards.short]\nverifier = "length"\noptions = { max = 9 }\n'
    source, good = cli.rollouts("in.jsonl", ROLLOUT), cli.write("r.toml", tables)
    assert json.loads(cli.run("score", source, "-r", good, "--json").stdout)["rewarded"] == 1
    other = cli.write("other.toml", tables.replace("file:given1", "file:given0"))
    assert "server 's1'" in cli.error("score", source, "-r", other)
    plain = cli.write("plain.toml", tables.replace('tls = { ca = "ca.pem" }\n', ""))
    assert "encrypted" in cli.error("score", source, "-r", plain)


def test_a_token_is_not_sent_unencrypted_to_another_host(cli: Cli) -> None:
    assert "not sent unencrypted" in cli.error("list", "--endpoint", "192.0.2.1:50051", "--token", "secret")
    seen = json.loads(cli.run("health", "192.0.2.1:50051", "--token", "secret", "--json", code=1).stdout)
    assert (seen[0]["state"], "not sent unencrypted" in seen[0]["problem"]) == ("not asked", True)
