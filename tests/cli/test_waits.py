"""A long wait is explained once, by the command: what is waited for, where, since when."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
from pathlib import Path

import pytest

from reward_servers.cli import run
from trainer_client.testing import FakeServer, Item

RECIPE = '[rewards.slow]\nverifier = "v"\n[client.retries]\nreport_interval_s = 0.2\n'


def test_what_is_waited_for_is_said_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soon = (("_console._FIRST_LINE", 0.0), ("_scoring._SILENT", 0.3), ("_scoring._LOOK", 0.1))
    for name, value in soon:
        monkeypatch.setattr(f"reward_servers.cli.{name}", value)
    told = threading.Event()

    class Heard(io.StringIO):
        def write(self, text: str) -> int:
            written = super().write(text)
            if "waiting for" in text:
                told.set()
            return written

    def script(item: Item) -> float:
        # Nothing is answered before it is said that there is a wait.
        assert told.wait(60)
        return 1.0

    heard = Heard()
    monkeypatch.setattr(sys, "stderr", heard)
    (tmp_path / "r.toml").write_text(RECIPE)
    (tmp_path / "in.jsonl").write_text('{"response": "a", "group_id": "g"}\n' * 2)
    with (
        FakeServer({"v": script}) as server,
        caplog.at_level(logging.WARNING, "trainer_client"),
    ):
        command = ["score", f"{tmp_path}/in.jsonl", "-r", f"{tmp_path}/r.toml", "--endpoint", server.address]
        assert run(command) == 0
    said = heard.getvalue()
    assert re.search(rf"waiting for v at {re.escape(server.address)} for \d+ s, 2 items", said), said
    assert "given no result" not in caplog.text
