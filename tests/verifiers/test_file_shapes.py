"""Files in the shapes in which data sets come are scored from the command line, without a line of code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SETUP = "CREATE TABLE t(a INTEGER); INSERT INTO t VALUES (1), (2)"
CALL = '<tool_call>{"name": "weather", "arguments": {"city": "paris"}}</tool_call>'
IFEVAL = {
    "key": 1000,
    "prompt": "Describe bananas in at least 5 words without commas.",
    "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma"],
    "kwargs": [{"num_words": 5, "relation": "at least", "keywords": None}, {"num_words": None}],
}
BFCL = {
    "id": "simple_0",
    "prompt": "Weather in Paris?",
    "ground_truth": [{"weather": {"city": ["Paris"], "unit": ["C", ""]}}],
}
BIRD = {"question_id": 1, "question": "How many?", "SQL": "SELECT COUNT(*) FROM t", "setup": SETUP}


@pytest.mark.parametrize(
    ("verifier", "row", "answers", "maps"),
    [
        (
            "ifeval",
            IFEVAL,
            ["Bananas are yellow and sweet", "Bananas, they are yellow and sweet"],
            ["response=output", "reference.instruction_id_list=instruction_id_list", "reference.kwargs=kwargs"],
        ),
        (
            "tool_calls",
            BFCL,
            [CALL, CALL.replace("paris", "Rome")],
            ["response=output", "reference.ground_truth=ground_truth"],
        ),
        (
            "sql",
            BIRD,
            ["SELECT SUM(1) FROM t", "SELECT 3"],
            ["response=output", "prompt=question", "reference.query=SQL", "reference.setup=setup"],
        ),
    ],
    ids=["ifeval", "bfcl", "bird"],
)
def test_a_file_of_a_known_shape(
    verifier: str, row: dict[str, Any], answers: list[str], maps: list[str], tmp_path: Path
) -> None:
    file, scored = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    file.write_text("".join(json.dumps({**row, "output": answer}) + "\n" for answer in answers), "utf-8")
    command = [sys.executable, "-m", "reward_servers", "score", str(file), "--verifier", verifier, "-o", str(scored)]
    ran = subprocess.run(
        [*command, *(part for one in maps for part in ("--map", one))], capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    found = [json.loads(line) for line in scored.read_text("utf-8").splitlines()]
    assert [one["scores"][verifier] for one in found] == [1.0, 0.0], found
