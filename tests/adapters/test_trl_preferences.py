"""TRL's preference trainers train on our pairs and on our rewards."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.surviving import recipe
from tests.adapters.test_trl import tiny_model
from trainer_client import Recipe, RecipeError, RewardClient, Rollout, RolloutError
from trainer_client.adapters.missing import MissingRewardError
from trainer_client.adapters.trl_preferences import online_dpo_function, preference_rows

EXACT = '[servers.all]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n'
PAIRS = 'advantage = "on_policy_pairs"\n' + EXACT


def scored(server: str, text: str, chat: bool = False) -> list[dict[str, Any]]:
    rollouts = [
        Rollout(
            f"{group}-{row}",
            prompt=f"{group} plus {group}",
            response=[{"role": "assistant", "content": said}] if chat else said,
            group_id=str(group),
            reference={"answer": str(2 * group)},
        )
        for group in range(1, 5)
        for row, said in enumerate((str(2 * group), "x", str(2 * group)) if group < 4 else ("x", "y"))
    ]
    with RewardClient(Recipe.loads(text), server) as client:
        return preference_rows(rollouts, client.score(rollouts))


def test_pairs_become_rows(server: str) -> None:
    rows = scored(server, PAIRS)
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == [
        (f"{n} plus {n}", str(2 * n), "x") for n in (1, 2, 3)
    ]
    (first, *_) = scored(server, PAIRS, chat=True)
    assert first["prompt"] == [{"role": "user", "content": "1 plus 1"}]
    assert first["rejected"] == [{"role": "assistant", "content": "x"}]


def test_a_method_without_pairs_is_refused(server: str) -> None:
    with pytest.raises(RecipeError, match="makes no preference pairs"):
        scored(server, 'advantage = "grpo"\n' + EXACT)


def test_a_missing_reward_is_no_zero_in_online_dpo(server: str) -> None:
    with pytest.raises(RecipeError, match="takes None for 0"):
        online_dpo_function(Recipe.loads(recipe()), server, on_missing="none")
    function = online_dpo_function(Recipe.loads(EXACT), server)
    given: dict[str, Any] = {"prompts": ["p", "p"], "completions": ["a", "b"], "completion_ids": [[1], [2]]}
    assert function(**given, answer=["a", "a"]) == [1.0, 0.0]
    with pytest.raises(MissingRewardError, match="missing_reference"):
        function(**given, answer=["a", None])
    with pytest.raises(RolloutError, match="the data set has none of the columns reference, answer"):
        function(**given)


def test_dpo_trains_on_our_pairs(server: str, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # exported lazily

        tiny_model(tmp_path / "model")
        config = DPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, max_steps=1, per_device_train_batch_size=3, bf16=False,
            gradient_checkpointing=False, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
        )  # fmt: skip
        rows = scored(server, PAIRS)
        trainer = DPOTrainer(model=str(tmp_path / "model"), args=config, train_dataset=Dataset.from_list(rows))
        trainer.train()
    assert trainer.state.global_step == 1


def test_online_dpo_trains_on_our_rewards(server: str, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

        tiny_model(tmp_path / "model")
        config = OnlineDPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, max_steps=1, per_device_train_batch_size=2, bf16=False,
            gradient_checkpointing=False, report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
            max_new_tokens=4,
        )  # fmt: skip
        trainer = OnlineDPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
            ref_model=AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
            processing_class=AutoTokenizer.from_pretrained(tmp_path / "model"),
            reward_funcs=online_dpo_function(Recipe.loads(EXACT), server),
            args=config,
            train_dataset=Dataset.from_list([{"prompt": f"{n} plus {n}", "answer": str(2 * n)} for n in range(4)]),
        )
        trainer.train()
    assert trainer.state.global_step == 1
