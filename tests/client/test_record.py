"""``[record]``: what a client keeps of a training run, and that keeping it changes nothing of the run."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer_client import AsyncRewardClient, Document, Recipe, RecipeError, RewardClient, Rollout
from trainer_client.result.rows import draw_of, rollout_fields, rollout_of
from trainer_client.testing import FakeServer, by_response

PATIENCE = 240.0


def recipe_of(folder: Path, more: str = "") -> Recipe:
    return Recipe.loads(
        f'max_missing = 1.0\n[record]\nfolder = {json.dumps(str(folder))}\n{more}\n[rewards.right]\nverifier = "one"\n'
    )


def batch(groups: int = 2, size: int = 2, name: str = "g") -> list[Rollout]:
    return [
        Rollout(
            f"{name}{group}-{n}", "q", json.dumps({"score": float(n)}), group_id=f"{name}{group}", reference={"a": n}
        )
        for group in range(groups)
        for n in range(size)
    ]


def rows_of(folder: Path, step: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"step-{step:08}.jsonl").read_text().splitlines()]


def steps_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_each_step_is_written_with_everything_to_ask_again(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with FakeServer({"one": by_response}) as server, RewardClient(recipe_of(folder), server.address) as client:
        for step in range(3):
            table = client.score(batch(), run="r", step=step, seed=7)
            assert table.advantages[0] < 0 < table.advantages[1]
    assert [(one["step"], one["written"], one["dropped_before"]) for one in steps_of(folder)] == [
        (0, 4, 0),
        (1, 4, 0),
        (2, 4, 0),
    ]
    about = steps_of(folder)[0]
    assert about["recipe_digest"] == client.recipe.digest
    assert about["versions"]["right"][0].startswith("one@")
    first, second, *_ = rows_of(folder, 2)
    assert (first["scores"], first["codes"], first["reward"]) == ({"right": 0.0}, {"right": "accepted"}, 0.0)
    assert first["advantage"] < 0 < second["advantage"]
    assert (first["run"], first["step"], first["seed"]) == ("r", 2, 7)
    assert rollout_of(second["rollout"]) == batch()[1]


async def test_both_faces_and_streams_keep_one(tmp_path: Path) -> None:
    with FakeServer({"one": by_response}) as server:
        async with AsyncRewardClient(recipe_of(tmp_path / "a"), server.address) as client:
            await client.score(batch(), step=1)
            async for table in client.stream(batch(3, name="s"), step=2):
                assert len(table) == 2
        with RewardClient(recipe_of(tmp_path / "b"), server.address) as blocking:
            list(blocking.stream(batch(3, name="s"), step=2))
    assert len(rows_of(tmp_path / "a", 1)) == 4
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert sorted(row["rollout_id"] for row in rows_of(folder, 2)) == [
            f"s{g}-{n}" for g in range(3) for n in (0, 1)
        ]


def test_a_step_is_sampled_in_whole_groups_by_ids_alone(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    rollouts = batch(20, 3)
    with (
        FakeServer({"one": by_response}) as server,
        RewardClient(recipe_of(folder, "rollouts = 10"), server.address) as client,
    ):
        client.score(rollouts)
    lowest = sorted({rollout.group_id for rollout in rollouts}, key=draw_of)[:3]
    written = rows_of(folder, 0)
    assert {row["group_id"] for row in written} == set(lowest)
    assert len(written) == 9
    assert steps_of(folder)[0]["rollouts"] == 60


def test_a_record_stays_within_its_bytes_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with (
        FakeServer({"one": by_response}) as server,
        RewardClient(recipe_of(folder, "max_bytes = 3000"), server.address) as client,
    ):
        for step in range(4):
            client.score(batch(), step=step)
    assert sum(path.stat().st_size for path in folder.glob("step-*")) <= 3000
    assert [bool(one["left_out"]) for one in steps_of(folder)] == [False, True, True, True]


def test_advantages_are_never_computed_for_the_record(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with FakeServer({"one": by_response}) as server, RewardClient(recipe_of(folder), server.address) as client:
        table = client.score(batch())
        client.score(batch(), step=1)
    assert "signal" not in table.__dict__
    assert [row["advantage"] for row in rows_of(folder, 0)] == [None] * 4


def test_a_disk_that_fails_ends_the_record_and_not_the_training(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with (
        FakeServer({"one": by_response}) as server,
        warnings.catch_warnings(record=True) as caught,
        RewardClient(recipe_of(blocked / "record"), server.address) as client,
    ):
        warnings.simplefilter("always")
        for step in range(3):
            assert client.score(batch(), step=step).rewards.tolist() == [0.0, 1.0, 0.0, 1.0]
        client.close()
    assert any("[record] ends here" in str(one.message) for one in caught)


def test_a_fork_and_a_pickle_write_what_is_theirs_once(tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with FakeServer({"one": by_response}) as server, RewardClient(recipe_of(folder), server.address) as client:
        client.score(batch(), step=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = multiprocessing.get_context("fork").Process(target=os.getpid)
            child.start()
            child.join(PATIENCE)
        with pickle.loads(pickle.dumps(client)) as other:
            other.score(batch(name="p"), step=1)
    assert len(rows_of(folder, 0)) == 4
    assert len(rows_of(folder, 1)) == 4
    assert len(steps_of(folder)) == 2


def test_a_record_is_no_part_of_what_a_recipe_asks(tmp_path: Path) -> None:
    plain = Recipe.loads('max_missing = 1.0\n[rewards.right]\nverifier = "one"\n')
    assert recipe_of(tmp_path).digest == plain.digest
    with pytest.raises(RecipeError, match=r"recipe:1: record\.folder: is missing"):
        Recipe.loads('[record]\n[rewards.right]\nverifier = "one"\n')
    with pytest.raises(RecipeError, match="did you mean folder"):
        Recipe.loads('[record]\nfolde = "x"\n[rewards.right]\nverifier = "one"\n')
    with pytest.raises(RecipeError, match="not a positive number"):
        recipe_of(tmp_path, "rollouts = 0")


def test_a_rollout_comes_back_as_it_was() -> None:
    rollout = Rollout(
        "a",
        [{"role": "user", "content": "hi"}],
        "\ud800 text",
        documents=[Document("d", "text", uri="u")],
        token_ids=np.array([1, 2, 3]),
        metadata={"x": np.float32(0.5)},
        expected={"score": 1},
        finish_reason="stop",
    )
    again = rollout_of(json.loads(json.dumps(rollout_fields(rollout))))
    assert rollout_fields(again) == rollout_fields(rollout)
    assert list(again.token_ids) == [1, 2, 3]


def test_what_a_client_waits_for_is_named_with_its_endpoint(tmp_path: Path) -> None:
    import threading

    let_go = threading.Event()

    def slow(item: Any) -> Any:
        let_go.wait(PATIENCE)
        return by_response(item)

    with (
        FakeServer({"one": slow}) as server,
        RewardClient(Recipe.loads('[rewards.right]\nverifier = "one"\n'), server.address) as client,
    ):
        thread = threading.Thread(target=client.score, args=(batch(),))
        thread.start()
        while not (waits := client.waits()):
            pass
        let_go.set()
        thread.join(PATIENCE)
        (wait,) = waits
        assert (wait.verifiers, wait.address) == (("one",), server.address)
        assert 0 < wait.items <= 4
        assert re.match(rf"one at {re.escape(server.address)} for \d+ s, ", str(wait))
        assert client.waits() == []
