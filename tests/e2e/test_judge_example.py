"""The example of the judge's page, as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_example_of_the_page(tmp_path: Path) -> None:
    example = ROOT / "examples" / "judge"
    with subprocess.Popen(
        [sys.executable, "-m", "examples.judge.endpoint", "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as endpoint:
        try:
            assert endpoint.stdout is not None
            url = endpoint.stdout.readline().strip()
            for name in ("recipe.toml", "server.toml", "rollouts.jsonl"):
                (tmp_path / name).write_text((example / name).read_text().replace("http://127.0.0.1:8911/v1", url))
            out = tmp_path / "judged.jsonl"
            command = [
                "score",
                str(tmp_path / "rollouts.jsonl"),
                "--recipe",
                str(tmp_path / "recipe.toml"),
                "-o",
                str(out),
            ]
            done = subprocess.run(
                [sys.executable, "-m", "reward_servers", *command, "--evidence"],
                capture_output=True,
                text=True,
                timeout=240,
            )
        finally:
            endpoint.kill()
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["reward"] for row in rows] == [1.0, 0.0, 0.0, 0.0]
    assert '"channel": "signed"' in out.read_text()
