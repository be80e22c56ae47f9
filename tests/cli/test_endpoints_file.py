"""Files that say where servers are: what they may hold, and whose they are."""

from __future__ import annotations

import json
import signal

from tests.cli.conftest import PATIENCE, Cli, read_line

RECIPE = '[rewards.right]\nverifier = "exact"\n'


def test_one_address_may_stand_without_a_list(cli: Cli) -> None:
    address = cli.serve("exact")
    file = cli.write("endpoints.json", json.dumps({"exact": address}))
    assert cli.run("health", "--endpoints-file", file).stdout == f"{address}  serving\n"
    rows = cli.rollouts("in.jsonl", {"response": "4", "reference": {"answer": "4"}})
    cli.run("score", rows, "-r", cli.write("r.toml", RECIPE), "--endpoints-file", file, "-o", "-")
    cli.run("recipe", "r.toml", "--endpoints-file", file)


def test_a_server_without_an_address_and_a_list_are_told_beside_others(cli: Cli) -> None:
    address = cli.serve("exact")
    file = cli.write("endpoints.json", json.dumps({"math": [], "exact": [address]}))
    health = cli.run("health", "registry://10.0.0.9:1", "--endpoints-file", file, "--token", "secret", code=1)
    assert health.stdout.splitlines() == [
        "registry://10.0.0.9:1  not asked: that is a list of servers; give HOST:PORT of one server",
        f"{address}  serving",
        "math  unavailable: server 'math' has no address at present",
    ]
    top = cli.run("top", "--once", "--endpoints-file", file, code=1).stdout
    assert address in top
    assert "math: server 'math' has no address at present" in top


def test_a_run_that_has_handed_its_file_over_leaves_it(cli: Cli) -> None:
    recipe, file = cli.write("recipe.toml", RECIPE), cli.folder / "ep.json"
    logs = [cli.folder / name for name in ("first.log", "second.log")]
    runs, texts = [], []
    for log in logs:
        runs.append(cli.start("up", recipe, "--workers", 1, "--endpoints-file", file, log=log))
        while (line := read_line(runs[-1].stdout)) != "ready":
            assert line, log.read_text()
        texts.append(file.read_text())
    first, second = runs
    assert texts[0] != texts[1]
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE) == 0
    assert file.read_text() == texts[1]
    assert f"{file}: not removed, since another process has written it" in logs[0].read_text()
    (address,) = json.loads(texts[0])["exact"]
    assert f"names servers of another run, which answer: {address};" in logs[1].read_text()
    assert "another run" not in logs[0].read_text()
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE) == 0
    assert not file.exists()
