"""``assay register`` and ``assay retire`` against a server as users start it."""

from __future__ import annotations

from tests.cli.conftest import Cli, read_line
from tests.hosting.conftest import PLAN, REGISTER

SETTINGS = '[auth]\ntokens = "tokens.toml"\n[registration]\nfolders = ["verifiers"]\n'


def test_a_user_registers_upgrades_and_retires(cli: Cli) -> None:
    folder = cli.folder / "verifiers"
    folder.mkdir()
    cli.write("tokens.toml", f'[clients.operator]\ntoken = "{REGISTER}"\nscopes = ["register", "score"]\n')
    cli.write("server.toml", SETTINGS)
    module = folder / "planned.py"
    module.write_text(PLAN.format(version="1", score=0.25, seconds=0))
    (folder / "ends.py").write_text("import sys\nsys.exit(3)\n")
    server = cli.start("serve", "exact", "--config", "server.toml", "--workers", 1)
    address = read_line(server.stdout).split()[2]
    asked = ("--endpoint", address, "--token", REGISTER)

    assert "hosts acme/plan@1 sha256:" in cli.run("register", "planned:plan", *asked).stdout
    assert "was hosted already: acme/plan@1" in cli.run("register", "planned:plan", *asked).stdout
    module.write_text(PLAN.format(version="2", score=0.75, seconds=0))
    said = cli.run("register", "planned:plan", *asked).stdout
    assert "hosts acme/plan@2 sha256:" in said
    assert "is kept for runs that have pinned it" in said
    for version, score in (("@1", "0.25"), ("@2", "0.75"), ("", "0.75")):
        assert f"score {score}" in cli.run("try", f"acme/plan{version}", "--response", "x", *asked).stdout

    refused = cli.run("register", "ends:plan", *asked, code=1).stdout
    assert "refused: ends:plan ends the process that loads it (exit code 3)" in refused
    assert "give --token" in cli.run("register", "planned:plan", "--endpoint", address, code=1).stdout
    assert "no server answers" in cli.run("retire", "acme/plan", "--endpoint", "127.0.0.1:1", code=1).stdout

    said = cli.run("retire", "acme/plan@2", *asked).stdout
    assert "retired acme/plan@2" in said
    assert "current is 1 sha256:" in said
    assert "retired acme/plan@1" in cli.run("retire", "acme/plan", *asked).stdout
    assert "not hosted here; hosted: exact" in cli.run("retire", "acme/plan", *asked, code=1).stdout
