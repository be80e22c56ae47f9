"""The first example of each page on rubrics and citations, run as its console shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.test_judge_example import ENDPOINT, ROOT, endpoint

PAGES = ("rubric", "citation", "citation_support", "carr", "faithfulness", "judge", "panel", "best_of")
PATIENCE = 240


def script_of(page: str) -> str:
    """The commands of the first console of a page, without the endpoint of the first terminal."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "docs" / "verifiers" / f"{page}.md").read_text(), re.DOTALL)
    assert block is not None
    lines: list[str] = []
    inside = False
    for line in block[1].splitlines():
        if line.startswith("$ "):
            inside = "<<'EOF'" in line
            lines.append(line[2:])
        elif inside:
            lines.append(line)
    return "\n".join(line for line in lines if not line.startswith("python -m examples.")) + "\n"


@pytest.mark.parametrize("page", PAGES)
def test_a_newcomer_runs_the_example_of_the_page(page: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    command = tmp_path / "bin" / "assay"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m reward_servers "$@"\n')
    command.chmod(0o755)
    with endpoint() as url:
        for settings in (tmp_path / "examples").rglob("*.toml"):
            settings.write_text(settings.read_text().replace(ENDPOINT, url))
        done = subprocess.run(
            ["bash", "-euc", f'PATH="{command.parent}:$PATH"\n{script_of(page)}'],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    written = [*tmp_path.glob("*.jsonl"), *tmp_path.glob("out/rollouts.jsonl")]
    rows = [json.loads(line) for file in written for line in file.read_text().splitlines()]
    scored = [row for row in rows if "scores" in row]
    assert len(scored) >= 2
    assert not any(row.get("faults") for row in scored)
    assert len({row["reward"] for row in scored}) > 1
