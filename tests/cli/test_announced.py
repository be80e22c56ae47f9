"""A registry and a server that announces itself, by the commands that the page on deploying shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.attacks._lines import host_address
from tests.cli.conftest import Cli, read_line
from trainer_client import Recipe, Retries, Reward, RewardClient, Rollout, Server

_PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text("utf-8")
_ASKED = "10.0.0.9:50040"


def _shown(command: str) -> list[str]:
    """The arguments of the page's command, but for comments."""
    (line,) = re.findall(rf"^\$ assay ({command} .*)$", _PAGE.partition("## A registry")[2].partition("\n## ")[0], re.M)
    return shlex.split(line, comments=True)


def test_the_commands_of_the_page_on_registries_work_across_hosts(cli: Cli) -> None:
    reached = host_address()
    told = ["0" if word == _ASKED.rpartition(":")[2] else word for word in _shown("registry")]
    registry = read_line(cli.start(*told, log=cli.folder / "registry.log").stdout)
    assert registry.startswith("listening on 0.0.0.0:")
    asked = f"{reached}:{registry.rpartition(':')[2]}"
    told = [word.replace(_ASKED, asked) for word in _shown("serve")]
    assert asked in told
    log = cli.folder / "server.log"
    served = read_line(cli.start(*told, "--workers", "1", log=log).stdout)
    assert served.startswith("listening on 0.0.0.0:"), log.read_text()

    (shown,) = re.findall(r'^RewardClient\("recipe\.toml", "(registry://.*)"\)$', _PAGE, re.M)
    recipe = Recipe((Reward("r", "format", options={"boxed": True}),), servers=(Server("format", ("format",)),))
    with RewardClient(recipe, shown.replace(_ASKED, asked), retries=Retries(unavailable_timeout_s=120.0)) as client:
        rollout = Rollout(rollout_id="r", group_id="g", prompt="?", response="a")
        assert client.score([rollout]).valid.all()
    assert "only this host can reach" not in log.read_text()
    port = served.split()[2].rpartition(":")[2]
    assert f"announced {reached}:{port}: " in (cli.folder / "registry.log").read_text()
