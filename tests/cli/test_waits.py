"""A long wait is explained once, by the command: what is waited for, where, since when."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from reward_servers.cli import run
from trainer_client.testing import FakeServer, Verdict

RECIPE = '[rewards.slow]\nverifier = "v"\n[client.retries]\nreport_interval_s = 0.2\n'


def test_what_is_waited_for_is_said_once(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soon = (("_console._FIRST_LINE", 0.0), ("_scoring._SILENT", 0.3), ("_scoring._LOOK", 0.1))
    for name, value in soon:
        monkeypatch.setattr(f"reward_servers.cli.{name}", value)
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "in.jsonl").write_text('{"response": "a", "group_id": "g"}\n' * 2)
    with (
        FakeServer({"v": lambda item: Verdict(1.0, delay_s=1.5)}) as server,
        caplog.at_level(logging.WARNING, "trainer_client"),
    ):
        command = ["score", f"{tmp_path}/in.jsonl", "-r", f"{tmp_path}/r.toml", "--endpoint", server.address]
        assert run(command) == 0
    said = capsys.readouterr().err
    assert re.search(rf"waiting for v at {re.escape(server.address)} for \d+ s, 2 items", said), said
    assert "given no result" not in caplog.text
