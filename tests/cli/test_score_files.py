"""``assay score`` on files of every shape: what the page says is run, and what is written reads the same."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reward_servers.cli import _intake
from reward_servers.cli._errors import UserError
from reward_servers.cli._intake import Intake
from reward_servers.cli._scored_rows import ScoredRows
from reward_servers.cli._stamps import Stamps
from tests.cli.conftest import PATIENCE, Cli, wait_until
from trainer_client import Recipe
from trainer_client.rollout.files import SHAPES, Form, RolloutReader

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "files"
EXACT = '[rewards.right]\nverifier = "exact"\n'
STANDS_FOR = {
    "rollouts.jsonl": "lm-eval.jsonl",
    "answers.csv": None,
    "data/train-*.parquet": "verl.parquet",
    "generations.parquet": "verl.parquet",
    "completions/completions_00001.parquet": "trl.parquet",
    "samples_gsm8k_2026-01-01.jsonl": "lm-eval.jsonl",
    "logs/2026-01-01_gsm8k.eval": "inspect.eval",
    "sharegpt.json": "sharegpt.json",
    "batch_output.jsonl": "openai-batch-output.jsonl",
    "batch_input.jsonl": "openai-batch-input.jsonl",
    "rollouts.jsonl.gz": None,
}
"""Files that the page names, and those that are taken for them; None for one that the test writes."""


def commands() -> list[str]:
    page = (ROOT / "docs" / "files.md").read_text()
    return [line.strip() for line in page.splitlines() if re.match(r" {4}(assay|zcat) ", line)]


def prepare(cli: Cli) -> None:
    (cli.folder / "answers.csv").write_text("completion,answer\n4,4\n5,4\n")
    rows = "".join(json.dumps({"response": text, "reference": "4", "prompt": "q"}) + "\n" for text in "45")
    (cli.folder / "rollouts.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    for name, source in STANDS_FOR.items():
        target = cli.folder / name.replace("*", "00000-of-00001")
        target.parent.mkdir(exist_ok=True)
        if source is not None:
            shutil.copy(DATA / source, target)
    cli.write("recipe.toml", '[rewards.right]\nverifier = "math"\n')


def test_the_page_has_a_command_for_each_shape() -> None:
    page = (ROOT / "docs" / "files.md").read_text()
    assert len(commands()) >= 10
    for name in SHAPES:
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_page_scores_its_file(cli: Cli, command: str) -> None:
    prepare(cli)
    words = shlex.split(command)
    if words[0] == "zcat":
        piped = cli.folder / "piped.jsonl"
        piped.write_bytes(gzip.decompress((cli.folder / words[1]).read_bytes()))
        with piped.open() as stdin:
            done = cli.run(*words[words.index("score") :], stdin=stdin)
    else:
        done = cli.run(*words[1:])
    assert "avg@" in done.stdout + done.stderr


@pytest.fixture(scope="module")
def sources() -> list[dict[str, Any]]:
    return [
        {"rollout_id": "a", "prompt": "q", "response": '["x", 1]', "reference": "4", "more": {"k": [1, None]}},
        {"rollout_id": "b", "prompt": "q", "response": "4 “so”\r\n, ok", "reference": {"answer": "4"}},
        {"rollout_id": "c", "prompt": [{"role": "user", "content": "q"}], "response": "", "reference": "5"},
        {"rollout_id": "d", "prompt": "p", "response": "fault", "metadata": {"n": 1}},
    ]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet", "out.jsonl.gz", "out.csv.gz"])
def test_results_of_every_kind_read_the_same(cli: Cli, name: str, sources: list[dict[str, Any]]) -> None:
    recipe = cli.write(
        "r.toml",
        'max_missing = 1.0\n[rewards.right]\nverifier = "exact"\nrequired = false\n'
        '[rewards.long]\nverifier = "probe/length"\nweight = 0.5\n'
        '[rewards.brief]\nverifier = "length"\noptions = { max = 4 }\nweight = 0\nrequired = false\n'
        '[rewards.parts]\nverifier = "tool_steps"\nweight = 0\nrequired = false\n',
    )
    source = cli.write("in.jsonl", "".join(json.dumps(row) + "\n" for row in sources))
    cli.run("score", source, "-r", recipe, "--keep", "--evidence", "--feedback", "-o", "out.jsonl")
    cli.run("score", source, "-r", recipe, "--keep", "--evidence", "--feedback", "-o", name)
    lines = list(ScoredRows(cli.folder / "out.jsonl").plain())
    assert list(ScoredRows(cli.folder / name).plain()) == lines
    assert [line["rollout"]["response"] for line in lines] == [row["response"] for row in sources]
    assert lines[0]["rollout"]["extra"]["more"] == {"k": [1, None]}
    assert lines[1]["feedback"] == {"brief": {"length": 12, "unit": "characters"}}
    (part,) = lines[1]["steps"]["parts"]
    assert part == {"message": 0, "start": 0, "end": 12, "unit": "character", "score": lines[1]["scores"]["parts"]}
    assert lines[3]["faults"]["long"]["code"] == "bad_reference"


def test_files_that_hold_no_results_are_told(cli: Cli) -> None:
    path = cli.write("in.jsonl", '{"rollout_id": "r", "response": "x"}\n')
    rows = ScoredRows(path)
    assert list(rows.entries()) == []
    reason = "scores: is missing or of another type; give a file that `assay score` wrote"
    assert rows.problems == [f"{path}: row 1: {reason}"]


def test_steps_are_batches_of_their_own(cli: Cli) -> None:
    recipe = cli.write("r.toml", '[rewards.long]\nverifier = "probe/length"\n')
    # The first group is all the same, which counts in a method that looks at the whole batch.
    texts = ["x" * (n % 7 if n >= 4 else 1) for n in range(40)]
    rows = [{"response": text, "group_id": f"g{n // 4}"} for n, text in enumerate(texts)]
    source, first = cli.rollouts("in.jsonl", *rows), cli.rollouts("first.jsonl", *rows[:8])
    for method in ("grpo", "gpg"):
        told = ("-r", cli.write(f"{method}.toml", f'advantage = "{method}"\n' + recipe.read_text()))
        cli.run("score", source, *told, "-o", "whole.jsonl")
        done = cli.run("score", source, *told, "-o", "steps.jsonl", "--step-rollouts", 6, "--json")
        cli.run("score", first, *told, "-o", "alone.jsonl")
        whole, steps, alone = (
            (cli.folder / f"{name}.jsonl").read_text().splitlines() for name in ("whole", "steps", "alone")
        )
        assert steps[:8] == alone
        assert (steps == whole) == (method == "grpo")
        assert json.loads(done.stdout)["kept"] == 40


def intake(path: Path, monkeypatch: pytest.MonkeyPatch, held: int = 0) -> Intake:
    monkeypatch.setattr(_intake, "_HELD_BYTES", held)
    return Intake(path, Form(), Recipe.loads(EXACT), None)


def rows(*groups: str) -> str:
    return "".join(
        json.dumps({"rollout_id": str(n), "group_id": group, "response": "x"}) + "\n" for n, group in enumerate(groups)
    )


def names(groups: Iterator[list[_intake.PlacedRollout]]) -> list[str]:
    return ["".join(placed.rollout.rollout_id for placed in group) for group in groups]


def test_a_file_larger_than_what_is_held_gives_whole_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(rows("a", "b", "a", "c", "c", "b", "d") + "broken\n")
    found = intake(path, monkeypatch)
    assert (found.total, found.left_out) == (7, 1)
    assert names(found.groups()) == ["02", "15", "34", "6"]
    assert (found.left_out, found.found.ungrouped) == (1, 0)
    held = intake(path, monkeypatch, held=1 << 20)
    assert names(held.groups()) == ["02", "15", "34", "6"]


def test_what_does_not_fit_in_is_left_out_of_both_readings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.jsonl"
    more = (
        {"rollout_id": "0", "group_id": "c", "response": "x"},
        {"rollout_id": "7", "group_id": "a", "response": "x", "prompt": "another"},
        {"rollout_id": "several", "group_id": "d", "response": ["x", 5, "y"]},
    )
    path.write_text(rows("a", "a", "b") + "".join(json.dumps(row) + "\n" for row in more))
    expected = names(intake(path, monkeypatch, held=1 << 20).groups())
    assert expected[:2] == ["01", "2"]
    found = intake(path, monkeypatch)
    problems = [problem.reason for problem in found.found.problems]
    assert problems[:2] == [
        "rollout_id: '0' is already used on line 1",
        "prompt: differs from line 1, of the same group 'a'",
    ]
    assert names(found.groups()) == expected
    assert [problem.reason for problem in found.found.problems] == problems


def test_a_large_file_is_compared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is scored, memory does not hold the ids and prompts of the reading before."""
    path = tmp_path / "in.jsonl"
    path.write_text(rows("a", "a", "b"))
    compared = []
    monkeypatch.setattr(RolloutReader, "_check", lambda *args: compared.append(args[1].rollout_id))
    found = intake(path, monkeypatch)
    assert names(found.groups()) == ["01", "2"]
    assert compared == ["0", "1", "2"]


def damage(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"XX")


def swap_for_a_copy(path: Path) -> None:
    """Another file of the same size, with the same time."""
    lines, state = path.read_text().splitlines(keepends=True), path.stat()
    copy = path.with_suffix(".new")
    copy.write_text("".join([lines[0], lines[0], *lines[2:]]))
    os.utime(copy, ns=(state.st_atime_ns, state.st_mtime_ns))
    os.replace(copy, path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2 + 10),
    "damaged": damage,
    "longer": lambda path: path.write_text(path.read_text() + rows("a", "a")),
    "another": swap_for_a_copy,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("begun", [False, True], ids=["before", "during"])
@pytest.mark.parametrize("shards", [False, True], ids=["file", "folder"])
def test_a_file_that_changes_before_it_is_read_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, begun: bool, shards: bool
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / "in.jsonl"
    path.write_text(rows("a", "b", "a", "c", "c", "b", "d"))
    found = intake(folder if shards else path, monkeypatch)
    groups = found.groups()
    if begun:
        next(groups)
    CHANGES[change](path)
    with pytest.raises(UserError, match=rf"{path}: it changed while it was read.*score a copy that nothing writes to"):
        list(groups)


def test_a_file_that_changes_while_it_is_first_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(rows("a", "a", "b"))
    read = RolloutReader.read

    def read_while_it_grows(reader: RolloutReader, source: Path) -> Iterator[Any]:
        for rollout in read(reader, source):
            with path.open("a") as file:
                file.write("\n")
            yield rollout

    monkeypatch.setattr(RolloutReader, "read", read_while_it_grows)
    for held in (0, 1 << 20):
        with pytest.raises(UserError, match="it changed while it was read"):
            intake(path, monkeypatch, held=held)


def test_a_joined_file_that_changes_before_it_is_read_again_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, joined = tmp_path / "in.jsonl", tmp_path / "answers.jsonl"
    path.write_text(rows("a", "b"))
    joined.write_text("".join(json.dumps({"rollout_id": name, "reference": "4"}) + "\n" for name in "01"))
    monkeypatch.setattr(_intake, "_HELD_BYTES", 0)
    groups = Intake(path, Form(join=joined), Recipe.loads(EXACT), None).groups()
    joined.write_text(joined.read_text().replace("4", "57"))
    with pytest.raises(UserError, match=f"{joined}: it changed while it was read"):
        list(groups)


def test_a_pipe_that_is_joined_to_a_file_that_is_read_twice_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(rows("a", "b"))
    answers = "".join(json.dumps({"rollout_id": name, "reference": "4"}) + "\n" for name in "01").encode()
    for held in (1 << 20, 0):
        reading, writing = os.pipe()
        try:
            os.write(writing, answers)
            os.close(writing)
            monkeypatch.setattr(_intake, "_HELD_BYTES", held)
            form = Form(join=f"/dev/fd/{reading}")
            if held:
                groups = Intake(path, form, Recipe.loads(EXACT), None).groups()
                assert [placed.rollout.reference for group in groups for placed in group] == ["4", "4"]
                continue
            with pytest.raises(UserError, match=f"--join /dev/fd/{reading}: it can be read once only.*as a file"):
                Intake(path, form, Recipe.loads(EXACT), None)
        finally:
            os.close(reading)


def test_rows_that_differ_though_the_file_looks_the_same_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second reading that gives more, fewer or broken rows, as of a file whose time does not tell."""
    path = tmp_path / "in.jsonl"
    text = rows("a", "b", "a", "c")
    monkeypatch.setattr(Stamps, "check", lambda stamps: None)
    for other in (text + rows("e"), rows("a", "b", "a"), text.replace("{", "X", 1), text + "broken\n"):
        path.write_text(text)
        found = intake(path, monkeypatch)
        path.write_text(other)
        with pytest.raises(UserError, match="it changed while it was read"):
            list(found.groups())


def test_nothing_is_written_of_a_file_that_changed(cli: Cli) -> None:
    source, out = cli.folder / "in.jsonl", cli.folder / "out.jsonl"
    source.write_text(
        "".join(json.dumps({"rollout_id": str(n), "response": "x" * (1 << 20)}) + "\n" for n in range(66))
    )
    recipe = cli.write("r.toml", '[rewards.slow]\nverifier = "probe/slow"\n')
    # The second reading goes on when the held scores are given.
    held = cli.write("seen.held", "1")
    run = cli.start("score", source, "-r", recipe, "-o", out, "--resume")
    wait_until(lambda: (cli.folder / "seen").exists(), "the first score")
    with source.open("a") as file:
        file.write(json.dumps({"rollout_id": "0", "response": "y"}) + "\n")
    held.unlink()
    _, stderr = run.communicate(timeout=PATIENCE)
    assert run.returncode == 2, stderr
    assert f"{source}: it changed while it was read, so no results are written" in stderr
    assert "Traceback" not in stderr
    assert not out.exists()


def test_what_is_read_once_must_have_its_groups_in_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows("a", "a", "b").encode())))
    found = intake(Path("-"), monkeypatch)
    assert found.total is None
    assert names(found.groups()) == ["01", "2"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows("a", "b", "a").encode())))
    with pytest.raises(UserError, match="rollout '2' belongs to the group 'a', which ended before other groups began"):
        list(intake(Path("-"), monkeypatch).groups())
    # What is held may come in any order.
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(rows("a", "b", "a").encode())))
    assert names(intake(Path("-"), monkeypatch, held=1 << 20).groups()) == ["02", "1"]


BATCH_LINE = {
    "id": "b",
    "custom_id": "q",
    "response": {
        "status_code": 200,
        "body": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]},
    },
    "error": None,
}


def test_references_that_no_column_gives_are_told_with_the_column_that_may_be_theirs(cli: Cli) -> None:
    source = cli.write("own.jsonl", json.dumps({"response": "4", "prompt": "q", "gold": "4"}) + "\n")
    done = cli.run("score", source, "--verifier", "exact", code=1)
    assert "there is no column reference; columns here: response, prompt, gold" in done.stderr
    assert "say which it is: --map reference.answer=gold" in done.stderr
    assert "reference" not in cli.run("score", source, "--verifier", "exact", "--map", "reference.answer=gold").stderr
    source = cli.write("batch.jsonl", json.dumps(BATCH_LINE) + "\n")
    assert "of a second file by --join FILE" in cli.run("score", source, "--verifier", "exact", code=1).stderr
