"""The table at the end of ``assay score``."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from tests.cli.conftest import COMMAND, PATIENCE, Cli, read_terminal

EXACT = '[rewards.right]\nverifier = "exact"\n'


def answer(response: str, **more: Any) -> dict[str, Any]:
    return {"response": response, "group_id": "g", "reference": {"answer": "4"}, **more}


def test_labels_belong_to_a_reward_and_graded_ones_have_a_tolerance_and_a_correlation(cli: Cli) -> None:
    recipe = cli.write("r.toml", EXACT + '[rewards.long]\nverifier = "probe/length"\n')
    source = cli.rollouts(
        "in.jsonl",
        answer("4", expected={"score": 1, "scores": {"long": 1.0004}}),
        answer("abc", expected={"score": 0, "scores": {"long": 3}}),
        answer("ab", expected={"scores": {"long": 2.2, "nosuch": 1}}),
    )
    done = cli.run("score", source, "-r", recipe, "--tolerance", "0.001", "--json")
    right, long = json.loads(done.stdout)["rewards"]
    assert (right["agreement"]["agree"], right["agreement"]["total"]) == (2, 2)
    assert (long["agreement"]["agree"], long["agreement"]["false_negative"]) == (2, 1)
    assert long["agreement"]["spearman"] == 1.0
    assert 0.9 < long["agreement"]["pearson"] < 1.0
    shown = cli.run("score", source, "-r", recipe)
    assert "expected.score is compared with right" in shown.stderr
    assert "'nosuch'" in shown.stderr
    assert "  pearson" in shown.stdout
    assert "the recipe has no such reward" in cli.error("score", source, "-r", recipe, "--label", "lnog")
    other = cli.run("score", source, "-r", recipe, "--label", "right", "--json")
    assert json.loads(other.stdout)["label_notes"] == [
        "1 labels in expected.scores name 'nosuch', which the recipe does not have"
    ]


def test_the_table_of_a_narrow_terminal_is_not_folded(cli: Cli) -> None:
    rewards = "".join(f'[rewards.reward_number_{n}]\nverifier = "probe/length"\n' for n in range(7))
    recipe = cli.write("r.toml", rewards)
    source = cli.rollouts("in.jsonl", answer("a"), answer("bc"))
    for width in (80, 120):
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [*COMMAND, "score", str(source), "-r", str(recipe)],
            cwd=cli.folder,
            env={**cli.env, "COLUMNS": str(width), "NO_COLOR": "1"},
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        text = read_terminal(ours).replace("\r\n", "\n")
        assert process.wait(timeout=PATIENCE) == 0
        assert "\x1b" not in text
        assert max(map(len, text.splitlines())) <= width
        assert all(f"reward_number_{n}" in text for n in range(7))
