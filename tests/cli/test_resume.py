"""A run of ``assay score`` that was killed, and goes on."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from reward_servers.cli._errors import UserError
from reward_servers.cli._resume import Partial
from tests.cli.conftest import PATIENCE, Cli, wait_until
from trainer_client import Recipe, Rollout
from trainer_client.result.checkpoint import restore_rows
from trainer_client.result.outcomes import Outcome

RECIPE = 'advantage = "grpo"\n[rewards.slow]\nverifier = "probe/slow"\n'
GROUPS, SIZE = 100, 4


def _write(folder: Path) -> Path:
    lines = [
        {"rollout_id": f"r{n}", "group_id": f"g{n // SIZE}", "prompt": "?", "response": f"{n} " + "x" * (n % 7)}
        for n in range(GROUPS * SIZE)
    ]
    (folder / "recipe.toml").write_text(RECIPE)
    path = folder / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _command(source: Path, *more: object) -> list[object]:
    return ["score", source, "--recipe", "recipe.toml", "--out", "out.jsonl", "--resume", *more]


def test_a_killed_run_goes_on_and_gives_what_one_run_gives(cli: Cli) -> None:
    folder = cli.folder
    source, partial, seen = _write(folder), folder / "out.jsonl.partial", folder / "seen"
    # The run stays in the middle until it is killed.
    held = cli.write("seen.held", str(GROUPS * SIZE // 2))
    first = cli.start(*_command(source))
    # What is asked a second time on a busy host is seen twice: the first window must be enough.
    wait_until(lambda: partial.exists() and partial.read_text().count("\n") > 8, "some groups")
    servers = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.wait()
    assert not (folder / "out.jsonl").exists()
    kept = partial.read_text().splitlines(keepends=True)
    whole = [line for line in kept if line.endswith("\n")]
    # The end of the process may cut a line off.
    partial.write_text("".join(whole[:-1]) + whole[-1][:30])
    # A group whose rollouts have changed meanwhile is scored as it is now.
    changed = source.read_text().replace('"response": "0 "', '"response": "0 now"')
    assert changed != source.read_text()
    source.write_text(changed)
    groups = len(whole) - 3
    _, alive = psutil.wait_procs(servers, PATIENCE)
    assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    held.unlink()
    seen.unlink()
    said = cli.run(*_command(source)).stderr
    assert f"{groups * SIZE} rollouts were scored before, and not again" in said
    assert len(seen.read_text()) == (GROUPS - groups) * SIZE
    assert not partial.exists()
    resumed = _rows(folder / "out.jsonl")
    cli.run("score", source, "--recipe", "recipe.toml", "--out", "whole.jsonl")
    assert resumed == _rows(folder / "whole.jsonl")


def test_what_was_asked_otherwise_is_refused_by_name(cli: Cli) -> None:
    folder = cli.folder
    source, partial = _write(folder), folder / "out.jsonl.partial"
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:8]))
    assert "--resume: needs --out" in cli.error("score", source, "--recipe", "recipe.toml", "--resume")
    for first, words in (
        ("something else", "this file was not written by --resume"),
        ('{"format": "assay.partial.2", "verifiers": {}}', "this file was not written by --resume"),
        ("[" * 100_000, "this file was not written by --resume"),
        ('{"format": "assay.partial.1", "recipe": "x", "verifiers": {}}', "another version of assay wrote it"),
        ('{"format": "assay.partial.2", "recipe": "x", "verifiers": {}}', "it was scored with another recipe (x"),
    ):
        partial.write_text(first + "\n")
        assert words in cli.error(*_command(source))
    digest = Recipe.load(folder / "recipe.toml").digest
    about = {"format": "assay.partial.2", "recipe": digest, "verifiers": {"slow": "sha256:other"}}
    partial.write_text(json.dumps(about) + "\n")
    assert "slow was judged by sha256:other, and the server hosts sha256:" in cli.error(*_command(source))
    for kept in ("{", "what a user wants to keep", '{"format": "assay.partial.2", "recipe": "sha'):
        partial.write_text(kept)
        assert "this file was not written by --resume" in cli.error(*_command(source))
        assert partial.read_text() == kept
    partial.unlink()
    os.mkfifo(partial)
    assert "it is not a regular file" in cli.error(*_command(source))
    outside = folder / "outside"
    partial.unlink()
    partial.symlink_to(outside)
    cli.error(*_command(source))
    assert not outside.exists()


def test_two_runs_do_not_keep_in_one_file(cli: Cli) -> None:
    source, partial = _write(cli.folder), cli.folder / "out.jsonl.partial"
    source.write_text("".join(source.read_text().splitlines(keepends=True)[:8]))
    with partial.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another run uses it" in cli.error(*_command(source))
        assert not partial.read_text()
    cli.run(*_command(source))
    assert len(_rows(cli.folder / "out.jsonl")) == 8


GROUP = [Rollout("r0", "g", "a")]
CELLS = {"cells": [[int(Outcome.VERDICT), 0.25, "", 0, None]], "versions": [[["exact", "1", "d", []]]], "aspects": [[]]}


def _reopen(path: Path) -> Mapping[str, Any] | None:
    partial = Partial(path, Recipe.loads('[rewards.right]\nverifier = "exact"\n'))
    try:
        partial.open({"right": "d"})
        return partial.find(GROUP, 0)
    finally:
        partial.close(remove=False)


def _kept(path: Path) -> bytes:
    partial = Partial(path, Recipe.loads('[rewards.right]\nverifier = "exact"\n'))
    partial.open({"right": "d"})
    partial.keep([(GROUP, CELLS)], 0)
    partial.close(remove=False)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0.25", b"0.5"),
        (b"0.25", b"NaN"),
        (b"0.25", b"1" + b"0" * 400),
        (b'"1", "d"', b'"2", "d"'),
        (b'"cells": ', b'"cells": ' + b"[" * 100_000),
        (b'"verifiers": {', b'"verifiers": {"more": "d", '),
        (b'{"sha256": "', b'{"sha256": "0'),
        (b'{"sha256"', b'{"md5"'),
    ],
)
def test_a_kept_group_that_was_changed_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "out.partial"
    kept = _kept(path)
    assert (_reopen(path) or {})["cells"] == CELLS["cells"]
    assert path.read_bytes() == kept
    changed = kept.replace(old, new, 1)
    assert changed != kept
    for more in (b"", kept.splitlines(keepends=True)[1]):
        path.write_bytes(changed + more)
        with pytest.raises(UserError, match=r"data at byte .*its checksum differs.*remove it to begin again"):
            _reopen(path)
        assert path.read_bytes() == changed + more


def test_a_last_line_that_was_cut_off_is_dropped_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out.partial"
    kept = _kept(path)
    header, line = kept.splitlines(keepends=True)
    for cut in (line[:5], line[:-1]):
        path.write_bytes(kept + cut)
        assert _reopen(path)
        assert path.read_bytes() == kept
    path.write_bytes(header + line + b"what a user wants")
    with pytest.raises(UserError, match="is not a group of this run"):
        _reopen(path)
    path.write_bytes(header[:-5])
    assert _reopen(path) is None
    assert path.read_bytes() == header


@pytest.mark.parametrize("score", [math.nan, math.inf, 10**400])
def test_a_kept_score_that_is_no_finite_number_is_refused(score: float) -> None:
    cells = [[int(Outcome.VERDICT), score, "", 0, None]]
    recipe = Recipe.loads('[rewards.right]\nverifier = "exact"\n')
    with pytest.raises(ValueError, match="it is not what was kept of a group"):
        restore_rows({**CELLS, "cells": cells}, GROUP, recipe, {}, None, 0)
