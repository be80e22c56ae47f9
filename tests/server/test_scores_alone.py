"""Verdicts of which nothing but score and code is wanted: the same as with everything, whatever runs them."""

from __future__ import annotations

import numpy as np
import pytest

from reward_servers.config import load_config
from reward_servers.server import running
from trainer_client import AsyncRewardClient, Recipe, RecipeError, Rollout

RECIPE = """
max_missing = 1.0
advantage = "none"
details = %s
[servers.all]
verifiers = ["exact", "length"]
[rewards.exact]
verifier = "exact"
options = { take = "boxed" }
[rewards.length]
verifier = "length"
options = { max = 20 }
"""
RESPONSES = [r"\boxed{2}", r"\boxed{3}", "2", "", r"\boxed{2} " + "x" * 50, "\ud800", "x" * 600_000]


def _rollouts() -> list[Rollout]:
    """Verdicts of every code, a dataset's fault, and rollouts of one group."""
    made = [Rollout(f"r{n}", "p", text, "g", reference={"answer": "2"}) for n, text in enumerate(RESPONSES)]
    return [*made, Rollout("lacks", "q", "2"), Rollout("bad", "q", "2", reference={"answer": []})]


async def test_scores_codes_and_faults_are_those_of_verdicts_with_everything() -> None:
    recipes = [Recipe.loads(RECIPE % details) for details in ("true", "false")]
    async with (
        running(load_config(workers=1), ["exact", "length"]) as server,
        AsyncRewardClient(recipes[0], server.address) as whole,
    ):
        tables = [await whole.with_recipe(recipe).score(_rollouts()) for recipe in recipes]
        singles = [await whole.with_recipe(recipe).submit_together(_rollouts()) for recipe in recipes]
    one, other = tables
    np.testing.assert_array_equal(one.scores, other.scores)
    np.testing.assert_array_equal(one.outcomes, other.outcomes)
    np.testing.assert_array_equal(one.codes, other.codes)
    np.testing.assert_array_equal(one.rewards, other.rewards)
    assert {"accepted", "wrong", "no_answer", "limit", "missing_reference", "invalid_reference"} <= set(one.codes[:, 0])
    assert one.versions == other.versions
    assert one.cell(7, "exact").message == other.cell(7, "exact").message != ""
    assert one.cell(0, "exact").evidence
    assert not other.cell(0, "exact").evidence
    assert [result.scores for result in singles[0]] == [result.scores for result in singles[1]]  # type: ignore[union-attr]
    assert [result.reward for result in singles[0]] == [result.reward for result in singles[1]]  # type: ignore[union-attr]


def test_details_that_something_reads_are_not_left_out(tmp_path: object) -> None:
    reading = 'details = false\n[rewards.a]\nverifier = "length"\n[inputs]\nlengths = "a.length"\n'
    for text, said in (
        ('advantage = { name = "dapo", max_length = 9, cache = 2 }\n' + reading, "reads a.length"),
        (
            f'details = false\n[rewards.a]\nverifier = "length"\n[record]\nfolder = "{tmp_path}"\n',
            "needs the details of verdicts",
        ),
    ):
        with pytest.raises(RecipeError, match=said):
            Recipe.loads(text)
