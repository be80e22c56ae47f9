"""Trainers that are installed call us by their own paths; an outage of a third changes no surviving advantage."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.adapters.surviving import KEYS, drawn, normalised, recipe
from trainer_client import Recipe, RecipeError
from trainer_client.adapters.atropos import ScoredGroup, group_scorer
from trainer_client.adapters.methods import batch_methods, why_not
from trainer_client.adapters.openrlhf import reward_function
from trainer_client.adapters.slime import NUMBERS, VALID, custom_rm_of, post_process_of
from trainer_client.adapters.verl import compute_score_of

TEXTS = [str(number) for number in range(8)]
EXPECTED = [drawn("p", text) for text in TEXTS]


def test_there_is_something_to_survive() -> None:
    assert 2 <= sum(one is None for one in EXPECTED) <= 5


def test_atropos_keeps_a_group_with_the_advantages_of_what_is_left(server: str) -> None:
    loaded = Recipe.loads(recipe())

    async def both() -> list[ScoredGroup | None]:
        dropping = group_scorer(loaded, server, max_missing=1.0)
        stating = group_scorer(loaded, server, on_missing=-1.0, max_missing=1.0)
        return [await dropping("p", TEXTS), await stating("p", TEXTS)]

    dropped, scored = asyncio.run(both())
    assert dropped is None
    assert scored is not None
    assert scored.scores == [-1.0 if one is None else one for one in EXPECTED]
    np.testing.assert_allclose(scored.advantages, normalised(EXPECTED, 1e-6), rtol=1e-6)
    assert scored.metrics.keys() == KEYS
    kept = [one for one in EXPECTED if one is not None]
    assert scored.metrics["aspect/main.half"] == pytest.approx(sum(kept) / len(kept) / 2)
    masks = [[-100, 5, 6]] * len(TEXTS)
    assert scored.per_token(masks)[0] == [0.0, scored.advantages[0], scored.advantages[0]]


class Sample:
    """Has the fields of slime's sample that its hooks read."""

    def __init__(self, prompt: str, response: str, group: int) -> None:
        self.prompt, self.response, self.group_index = prompt, response, group
        self.label: Any = None
        self.metadata: dict[str, Any] = {}
        self.response_length = 3
        self.reward: Any = None
        self.remove_sample = False


class Arguments:
    reward_key: str | None = None
    rollout_id = 0


@pytest.mark.parametrize("key", [None, "reward"])
def test_slime_singly_and_by_group(server: str, key: str | None) -> None:
    arguments = Arguments()
    arguments.reward_key = key
    rm = custom_rm_of(Recipe.loads(recipe()), server, max_missing=1.0)
    samples = [Sample("p", text, 0) for text in TEXTS]

    async def both() -> Any:
        return await asyncio.gather(*(rm(arguments, one) for one in samples[:4])), await rm(arguments, samples[4:])

    singly, together = asyncio.run(both())
    for one, told in zip(samples, [*singly, *together], strict=True):
        one.reward = told
    numbers = [one.reward[key] if key else one.reward for one in samples]
    assert numbers == [0.0 if one is None else one for one in EXPECTED]
    assert [one.remove_sample for one in samples] == [one is None for one in EXPECTED]
    assert [one.metadata[VALID] for one in samples] == [one is not None for one in EXPECTED]
    if key:
        assert {tuple(sorted(one.reward)) for one in samples} == {tuple(sorted({*KEYS, "reward"}))}
    else:
        assert all(one.metadata[NUMBERS].keys() == KEYS for one in samples)
    raw, made = post_process_of("grpo")(arguments, samples)
    assert raw == numbers
    np.testing.assert_allclose(made, normalised(EXPECTED, 1e-6), rtol=1e-6)


def test_verl_gets_one_set_of_keys_whatever_happened(server: str) -> None:
    score = compute_score_of(Recipe.loads(recipe()), server, on_missing="none", max_missing=1.0)

    async def all_of_them() -> list[dict[str, Any]]:
        given: dict[str, Any] = {"num_turns": None, "rollout_reward_scores": {}, "prompt": "p", "ids": np.arange(2)}
        return list(
            await asyncio.gather(
                *(
                    score(data_source="d", solution_str=text, ground_truth="x", extra_info=given, reward_router=None)
                    for text in TEXTS
                )
            )
        )

    told = asyncio.run(all_of_them())
    assert {tuple(sorted(one)) for one in told} == {tuple(sorted({*KEYS, "score", "acc"}))}
    assert all(isinstance(value, float) for one in told for value in one.values())
    for one, expected in zip(told, EXPECTED, strict=True):
        assert np.isnan(one["score"]) if expected is None else one["score"] == expected
        assert one["valid"] == float(expected is not None)


def test_openrlhf_file(server: str) -> None:
    loaded = Recipe.loads(recipe())
    function = reward_function(loaded, server, on_missing=0.5, max_missing=1.0)
    for text, expected in zip(TEXTS, EXPECTED, strict=True):
        told = function([f"<s>p{text}</s>"], ["p"], ["x"])
        assert told["rewards"] == (0.5 if expected is None else expected)
        assert told["extra_logs"].keys() == KEYS
        assert told["extra_logs"]["valid"] == float(expected is not None)
    assert len(function([f"p{text}" for text in TEXTS], ["p"] * 8, ["x"] * 8)["rewards"]) == 8
    with pytest.raises(RecipeError, match="OpenRLHF cannot leave a sample out"):
        reward_function(loaded, server, on_missing="none")


def test_methods_that_a_batch_has_the_inputs_for() -> None:
    assert {"grpo", "rloo", "dr_grpo", "mc_grpo", "opo"} <= set(batch_methods())
    assert "remembers" in why_not("spo")
    assert "does not hand over" in why_not("gigpo")
    with pytest.raises(RecipeError, match=r"'gigpo' does not fit slime's hook"):
        post_process_of("gigpo")


def test_no_trainer_is_imported_by_its_adapter() -> None:
    trainers = ("torch", "trl", "verl", "openrlhf", "verifiers", "atroposlib", "ray", "slime", "roll", "areal")
    code = (
        "import importlib, pkgutil, sys, trainer_client.adapters as all_of_them\n"
        "for one in pkgutil.iter_modules(all_of_them.__path__):\n"
        "    importlib.import_module(f'trainer_client.adapters.{one.name}')\n"
        f"found = [name for name in {trainers!r} if name in sys.modules]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
