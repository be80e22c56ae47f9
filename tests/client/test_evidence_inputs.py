"""Inputs of a method that the evidence of verdicts holds, such as an encoder's vectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from trainer_client import Recipe, RecipeError, Reward, RewardClient, Rollout, ScoreTable
from trainer_client.testing import FakeServer, Item, Verdict

_VECTORS = {"right": [1.0, 0.0], "near": [0.6, 0.8]}
_RECIPE = Recipe(
    (Reward("near", "encoder"),),
    advantage=("grace", "dr_grpo"),
    inputs={"query_embeddings": "near.evidence.query", "rationale_embeddings": "near.evidence.of.response"},
)


def encoder(item: Item) -> Verdict:
    vector = _VECTORS.get(str(item.response))
    return Verdict(0.5, evidence={"query": [1.0, 0.0], "of": {"response": vector}} if vector else {"query": [1.0, 0.0]})


def scored(responses: list[str], judge: Callable[[Item], Verdict] = encoder) -> ScoreTable:
    rollouts = [Rollout(f"r{place}", "q", text, group_id="g") for place, text in enumerate(responses)]
    with FakeServer({"encoder": judge}) as server, RewardClient(_RECIPE, {"encoder": server.address}) as client:
        return client.score(rollouts)


def rewards_of(table: ScoreTable) -> list[float]:
    found: Any = table.signal.rewards
    return [round(float(one), 6) for one in found]


def test_vectors_reach_a_method_before_and_after_the_evidence_is_forgotten() -> None:
    table = scored(["right", "near"])
    kept = scored(["right", "near"])
    kept.shed()
    assert kept.cell(0, "near").evidence is None
    # 10 (cos + 0.2 * 0.6): one group, so nothing is crossed.
    assert rewards_of(table) == rewards_of(kept) == [11.2, 7.2]


def test_a_rollout_without_its_vector_takes_no_part() -> None:
    table = scored(["right", "near", "other"])
    assert table.signal.valid.tolist() == [True, True, False]


def test_a_key_that_no_verdict_has_is_named() -> None:
    table = scored(["right", "near"], lambda _: Verdict(0.5, evidence={"query": [1.0, 0.0]}))
    with pytest.raises(RecipeError, match=r"rewards\.near\.verifier.*no verdict has 'of\.response' in its evidence"):
        _ = table.signal


def test_evidence_is_a_detail() -> None:
    with pytest.raises(RecipeError, match=r"reads near\.evidence\.query, which is one of the details"):
        Recipe(_RECIPE.rewards, advantage=_RECIPE.advantage, inputs=_RECIPE.inputs, details=False)
