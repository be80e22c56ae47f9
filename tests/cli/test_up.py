"""``assay up``: the servers of a recipe, together."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile

import psutil

from tests.cli.conftest import PATIENCE, Cli, read_line, servers_of, wait_until
from trainer_client import RewardClient, Rollout

RECIPE = """
max_missing = 1.0

[servers.both]
verifiers = ["exact", "probe/length"]
replicas = 2

[rewards.right]
verifier = "exact"

[rewards.long]
verifier = "probe/length"
weight = 0.01

[rewards.down]
verifier = "probe/down"
required = false
on_missing = "floor"
"""


def test_up_serves_a_recipe_restarts_what_dies_and_stops_on_ctrl_c(cli: Cli) -> None:
    recipe = cli.write("recipe.toml", RECIPE)
    endpoints_file = cli.folder / "endpoints.json"
    process = cli.start("up", recipe, "--workers", 1, "--endpoints-file", endpoints_file)
    lines = [read_line(process.stdout) for _ in range(3)]
    assert [line.split()[0] for line in lines] == ["both", "probe/down", "ready"]
    wait_until(endpoints_file.exists, "the endpoints file")
    endpoints = json.loads(endpoints_file.read_text())
    assert {name: len(addresses) for name, addresses in endpoints.items()} == {"both": 2, "probe/down": 1}

    rollouts = [Rollout("a", "q", "4", reference={"answer": "4"}), Rollout("b", "q", "5", reference={"answer": "4"})]
    servers = servers_of(process.pid)
    assert len(servers) == 3
    with RewardClient(recipe, endpoints) as client:
        os.kill(servers[0].pid, signal.SIGKILL)
        table = client.score(rollouts)
    assert table.scores[:, 0].tolist() == [1.0, 0.0]

    wait_until(lambda: len(servers_of(process.pid)) == 3, "the restarted server")
    servers = servers_of(process.pid)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "starting it again" in log
    assert any(line.startswith("both.1") and " | " in line for line in log.splitlines())
    assert not any(psutil.pid_exists(server.pid) for server in servers)
    assert not endpoints_file.exists()


def test_it_restarts_and_stops_its_servers_where_the_reader_of_its_log_has_ended(cli: Cli) -> None:
    process = cli.start("up", cli.write("recipe.toml", RECIPE), "--workers", 1)
    while read_line(process.stdout) != "ready":
        pass
    assert process.stderr is not None
    process.stderr.close()
    first = servers_of(process.pid)
    os.kill(first[0].pid, signal.SIGKILL)
    wait_until(lambda: len(set(servers_of(process.pid)) - set(first)) == 1, "the restarted server")
    servers = servers_of(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    assert not any(psutil.pid_exists(server.pid) for server in servers)


def test_one_that_is_killed_leaves_no_server_and_no_file(cli: Cli) -> None:
    # Below the test's own folder, names of sockets would be too long.
    with tempfile.TemporaryDirectory() as temporary:
        cli.env["TMPDIR"] = temporary
        process = cli.start("up", cli.write("recipe.toml", RECIPE), "--workers", 1)
        while (line := read_line(process.stdout)) != "ready":
            assert line, "it has ended"
        servers = servers_of(process.pid)
        process.kill()
        _, alive = psutil.wait_procs(servers, PATIENCE)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
        assert not os.listdir(temporary)


def test_one_server_that_refuses_stops_the_whole(cli: Cli) -> None:
    recipe = cli.write("recipe.toml", '[rewards.a]\nverifier = "exact"\n[rewards.b]\nverifier = "probe/refuses"\n')
    line = cli.error("up", recipe)
    assert line.startswith("error: server probe/refuses: ")
    assert line.endswith("install the missing thing")


def test_settings_files_are_found_beside_the_recipe(cli: Cli) -> None:
    folder = cli.folder / "elsewhere"
    folder.mkdir()
    (folder / "server.toml").write_text('[verifiers."probe/refuses"]\nremedy = "call the operator"\n')
    (folder / "recipe.toml").write_text(
        '[servers.s]\nverifiers = ["probe/refuses"]\nconfig = "server.toml"\n[rewards.a]\nverifier = "probe/refuses"\n'
    )
    assert cli.error("up", "elsewhere/recipe.toml").endswith("call the operator")


def test_a_recipe_whose_servers_run_elsewhere_starts_nothing(cli: Cli) -> None:
    recipe = cli.write(
        "recipe.toml", '[servers.s]\nverifiers=["exact"]\nendpoints=["h:1"]\n[rewards.a]\nverifier="exact"\n'
    )
    assert "nothing to start" in cli.run("up", recipe).stderr


def test_a_wrong_recipe_names_the_line(cli: Cli) -> None:
    recipe = cli.write("recipe.toml", '[rewards.a]\nverifer = "exact"\n')
    line = cli.error("up", recipe)
    assert f"{recipe}:2" in line
    assert "did you mean verifier?" in line


def test_a_file_of_endpoints_is_never_written_over_another_nor_removed_before_it_was_written(cli: Cli) -> None:
    recipe = cli.write("recipe.toml", '[rewards.b]\nverifier = "probe/refuses"\n')
    assert "that is the recipe, which would be overwritten" in cli.error("up", recipe, "--endpoints-file", recipe)
    kept = cli.write("kept.json", "{}")
    cli.error("up", recipe, "--endpoints-file", kept)
    assert kept.read_text() == "{}"
    assert recipe.exists()


SLOW = """
[servers.slow]
verifiers = ["probe/slow"]

[rewards.slow]
verifier = "probe/slow"
"""


def test_ctrl_c_in_the_middle_of_a_call_reaches_every_process_and_loses_no_item(cli: Cli) -> None:
    recipe, endpoints_file = cli.write("recipe.toml", SLOW), cli.folder / "endpoints.json"
    process = cli.start("up", recipe, "--workers", 1, "--endpoints-file", endpoints_file)
    while read_line(process.stdout) != "ready":
        pass
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    with RewardClient(recipe, json.loads(endpoints_file.read_text())) as client:
        futures = [client.submit(Rollout(f"r{number}", "q", "x")) for number in range(300)]
        seen = cli.folder / "seen"
        wait_until(lambda: seen.exists() and seen.read_text(), "the first item")
        # A terminal sends the signal to the whole group: supervisor, servers, workers, and what workers come from.
        for one in everyone:
            # One that the first to hear of it has ended by now is none that a terminal reaches.
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGINT)
        rewards = [future.result(PATIENCE).reward for future in futures]
    _, log = process.communicate(timeout=PATIENCE)
    assert (process.returncode, len(set(rewards))) == (0, 1)
    assert rewards[0] is not None
    assert "Traceback" not in log
    assert "lost" not in log
    _, alive = psutil.wait_procs(everyone, PATIENCE)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
