"""What is said where a reply is not recorded, or an example's port is taken."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from reward_servers.engines.judging import ChatRejectedError, Completion, CompletionRequest, Recording, SharedBackend

ROOT = Path(__file__).parents[3]


async def test_what_is_not_recorded_is_said_with_the_models_that_are(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    Recording(path, "record").put("k", "i", Completion("correct: yes", "stop", "model-one", "", 1, 1))
    backend = SharedBackend(json.dumps(["model-two"]), None, Recording(path, "replay"))
    with pytest.raises(ChatRejectedError, match=r"model-two.*model-one") as raised:
        await backend.ask(CompletionRequest([{"role": "user", "content": "q"}]), budget=1.0, jitter=Random(1))
    assert raised.value.reason == "not_recorded"


def test_an_example_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "examples.judge.endpoint", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 1
    assert "give another port" in done.stderr
    assert "Traceback" not in done.stderr
