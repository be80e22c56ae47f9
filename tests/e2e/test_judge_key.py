"""The key of a judge's endpoint, planted and looked for: in what `assay up` and `assay score` print and write."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.test_judge_example import EXAMPLE, ROOT, assay, brought_up
from tests.fakes.chat_server import FakeChatServer, Said

KEY = "sk-PLANTED-4711-0815-key"
SETTINGS = """
[verifiers.judge]
base_url = "URL"
model = "m"
api_key_env = "PLANTED_KEY"
total_timeout_s = 20

[verifiers.judge.recording]
path = "RECORDING"
mode = "record"
"""


def script(request: dict[str, Any], number: int) -> Said | str:
    """Repeat the key wherever an endpoint can, and judge now and then."""
    said = (
        Said(f"try later, {KEY}", status=503, headers={"x-key": KEY, "retry-after": "0.1"}),
        Said(f"correct: yes, and the key is {KEY}"),
        Said(f"Incorrect API key provided: {KEY}", status=401, error_code=KEY),
        Said(body=f"<html>{KEY}</html>".encode()),
        Said(f"[[A]] {KEY}"),
        Said(f"bad request with {KEY}", status=400),
    )
    return said[number % len(said)]


def _run(folder: Path, url: str, recording: Path) -> dict[str, bytes]:
    """Start the servers of the example, score its file and list what they serve: what scoring and listing printed."""
    recipe = (EXAMPLE / "recipe.toml").read_text().replace('"grpo"', '"grpo"\nmax_missing = 1.0')
    (folder / "recipe.toml").write_text(recipe)
    (folder / "server.toml").write_text(SETTINGS.replace("URL", url).replace("RECORDING", str(recording)))
    environment = {**os.environ, "PLANTED_KEY": KEY}

    def ran(*arguments: Any) -> bytes:
        done = subprocess.run(assay(*arguments), cwd=ROOT, env=environment, capture_output=True, timeout=240)
        return done.stdout + done.stderr

    with (
        (folder / "up.log").open("wb") as log,
        brought_up(folder, cwd=ROOT, env=environment, stdout=log, stderr=log) as addresses,
    ):
        named = ("--recipe", folder / "recipe.toml", "--endpoints-file", addresses, "--evidence")
        scored = ran("score", EXAMPLE / "rollouts.jsonl", *named, "-o", folder / "judged.jsonl")
        (address,) = re.findall(r"[\w.]+:\d+", addresses.read_text())
        return {"score": scored, "list": ran("list", "--endpoint", address)}


def test_a_planted_key_occurs_nowhere(tmp_path: Path) -> None:
    fake, recording = FakeChatServer(script), tmp_path / "records.jsonl"
    with fake.running() as url:
        printed = _run(tmp_path, url, recording)
    # The endpoint was asked with the key, and its replies, which hold it, were judged and written down.
    assert set(fake.keys) == {f"Bearer {KEY}"}
    assert len(fake.requests) > 6
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {tmp_path / name for name in ("up.log", "judged.jsonl", "records.jsonl")} <= written.keys()
    assert b"correct: yes, and the key is" in written[recording]
    assert b"correct: yes, and the key is" in written[tmp_path / "judged.jsonl"]
    assert b"judge" in printed["list"]
    told = {**printed, **{str(path): text for path, text in written.items()}}
    assert {where: text.count(KEY.encode()) for where, text in told.items() if KEY.encode() in text} == {}
