"""The released TRL trains on rewards from servers in other processes."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.trl.task import save_model
from tests.adapters.surviving import drawn, normalised, recipe
from trainer_client import Recipe, RecipeError, RolloutError
from trainer_client.adapters.missing import FaultRateError, MissingRewardError
from trainer_client.adapters.trl import grpo_trainer, reward_function

ROOT = Path(__file__).parents[2]

RECIPE = """
name = "exact and short"
[servers.rules]
verifiers = ["exact", "length"]
[rewards.correct]
verifier = "exact"
[rewards.short]
verifier = "length"
options = { max = 100 }
weight = 0.5
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A real server in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reward_servers", "serve", "exact", "length", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("listening on "):
            yield line.split()[2]
            break
    else:
        pytest.fail(f"the server did not start: {''.join(said)}")
    process.terminate()
    process.wait(120)
    process.stdout.close()


def call(function: Any, **columns: Any) -> list[float | None]:
    answer: list[float | None] = asyncio.run(function(**columns))
    return answer


def test_rewards_come_back_in_order_after_weights(address: str) -> None:
    function = reward_function(Recipe.loads(RECIPE), address)
    metrics: dict[str, float] = {}
    extras: dict[str, list[float | None]] = {}
    rewards = call(
        function,
        prompts=["1+1?"] * 2 + ["2+2?"] * 2,
        completions=["2", "x" * 200, "4", "5"],
        completion_ids=[[1]] * 4,
        answer=["2", "2", "4", "4"],
        log_metric=metrics.__setitem__,
        log_extra=extras.__setitem__,
    )
    assert rewards == [1.5, 0.0, 1.5, 0.5]
    assert metrics["assay/correct/mean"] == 0.5
    assert metrics["assay/correct/missing"] == 0.0
    assert extras["correct"] == [1.0, 0.0, 1.0, 0.0]


def test_messages_and_mapped_columns(address: str) -> None:
    recipe = Recipe.loads('[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n')
    function = reward_function(recipe, address, reference={"answer": "gold"}, name="exactly")
    rewards = call(
        function,
        prompts=[[{"role": "user", "content": "1+1?"}]] * 2,
        completions=[[{"role": "assistant", "content": "2"}], [{"role": "assistant", "content": "3"}]],
        gold=["2", "2"],
    )
    assert rewards == [1.0, 0.0]
    unread = reward_function(recipe, address)
    with pytest.raises(RolloutError, match=r"none of the columns reference, answer, .*; it has answr, completions"):
        call(unread, prompts=["p"], completions=["c"], answr=["2"])
    with pytest.raises(RolloutError, match="no column 'gold'"):
        call(function, prompts=["p"], completions=["c"], answer=["2"])


def test_references_as_data_sets_keep_them(address: str) -> None:
    recipe = Recipe.loads('[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n')
    function = reward_function(recipe, address)
    references = ["2", 2, '{"answer": "2"}', {"answer": "2", "choices": None}, {"answer": "3"}]
    rewards = call(function, prompts=["p"] * 5, completions=["2"] * 5, reference=references)
    assert rewards == [1.0, 1.0, 1.0, 1.0, 0.0]


def test_verifiers_that_count_tokens_get_them_when_asked(address: str) -> None:
    recipe = Recipe.loads(
        'max_missing = 1.0\n[servers.rules]\nverifiers = ["length"]\n'
        '[rewards.short]\nverifier = "length"\noptions = { unit = "tokens", max = 2 }\n'
    )
    given = {"prompts": ["p"] * 2, "completions": ["a b", "a b c"], "completion_ids": [[1, 2], [1, 2, 3]]}
    assert call(reward_function(recipe, address, token_ids=True), **given) == [1.0, 0.0]
    assert call(reward_function(recipe, address), **given) == [None, None]


def test_no_verdict_is_none(address: str) -> None:
    recipe = Recipe.loads(
        'max_missing = 0.5\n[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n'
    )
    function = reward_function(recipe, address)
    references = [{"answer": "2"}, {"answer": "2"}, None, None]
    rewards = call(function, prompts=["a", "a", "b", "b"], completions=["2", "3", "2", "3"], reference=references)
    assert rewards == [1.0, 0.0, None, None]


@pytest.mark.parametrize("rule", ['on_missing = { default = "drop_group" }', "required = false"])
def test_what_needs_the_whole_group_is_refused_where_its_size_is_not_known(address: str, rule: str) -> None:
    recipe = Recipe.loads(
        'max_missing = 1.0\n[servers.rules]\nverifiers = ["exact", "length"]\n[rewards.correct]\nverifier = "exact"\n'
        f'[rewards.short]\nverifier = "length"\noptions = {{ max = 100 }}\n{rule}\n'
    )
    given = {"prompts": ["p", "p"], "completions": ["2", "3"], "reference": [{"answer": "2"}] * 2}
    with pytest.raises(RecipeError, match="group_size=num_generations"):
        call(reward_function(recipe, address), **given)
    assert call(reward_function(recipe, address, group_size=2), **given) == [2.0, 1.0]


def test_the_function_is_a_named_coroutine_function() -> None:
    function = reward_function(Recipe.loads(RECIPE), "127.0.0.1:1")
    assert inspect.iscoroutinefunction(function)
    assert function.__name__ == "exact_and_short"
    with pytest.raises(RecipeError, match="cannot name a function"):
        reward_function(Recipe.loads(RECIPE), name="1st")


module_level = reward_function(Recipe.loads(RECIPE), "127.0.0.1:1", name="module_level")


def test_a_function_at_module_level_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level


def tiny_model(folder: Path) -> None:
    """A model of one layer and a tokenizer of digits and letters, made here: nothing is downloaded."""
    words = [*map(str, range(10)), *"abcdefghijklmnopqrstuvwxyz"]
    save_model(folder, words, width=16, positions=64)


def test_one_fault_in_a_small_batch_ends_nothing_and_many_do(server: str) -> None:
    function = reward_function(Recipe.loads(recipe(head="max_missing = 0.2")), server)
    texts = [str(number) for number in range(200)]
    down = next(text for text in texts if drawn("p", text) is None)
    assert call(function, prompts=["p"], completions=[down]) == [None]
    with pytest.raises(FaultRateError, match="judge_unavailable: the judge is gone"):
        call(function, prompts=["p"] * 200, completions=texts)


class Trainer:
    """What TRL's trainer hands to a reward function of several: a method of its own."""

    def __init__(self, *functions: Any) -> None:
        self.reward_funcs = list(functions)

    def log_metric(self, name: str, value: float) -> None:
        """Note nothing."""


def test_none_is_refused_where_trl_would_take_it_for_0(server: str) -> None:
    down = next(str(number) for number in range(100) if drawn("p", str(number)) is None)
    given = {"prompts": ["p"], "completions": [down]}
    function = reward_function(Recipe.loads(recipe()), server)
    assert call(function, **given, log_metric=Trainer(function).log_metric) == [None]
    beside = Trainer(function, len).log_metric
    with pytest.raises(RecipeError, match="on_missing: TRL sums 2 reward functions, and None counts as 0 there"):
        call(function, **given, log_metric=beside)
    stated = reward_function(Recipe.loads(recipe()), server, on_missing=0.25)
    assert call(stated, **given, log_metric=beside) == [0.25]


def test_the_released_trl_hands_over_a_method_of_its_trainer(server: str, tmp_path: Path) -> None:
    def other(completions: list[str], **_: Any) -> list[float]:
        return [0.2] * len(completions)

    functions: list[Any] = [reward_function(Recipe.loads(recipe()), server), other]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from trl import GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

        trainer = GRPOTrainer(reward_funcs=functions, **arguments(tmp_path))
        with pytest.raises(RecipeError, match="None counts as 0"):
            trainer.train()


def test_beside_other_reward_functions_a_missing_reward_can_be_an_error(server: str) -> None:
    function = reward_function(Recipe.loads(recipe()), server, on_missing="error")
    down = next(str(number) for number in range(100) if drawn("p", str(number)) is None)
    with pytest.raises(MissingRewardError, match="the judge is gone"):
        call(function, prompts=["p"], completions=[down])


def test_a_method_that_a_reward_function_cannot_serve_is_refused(server: str) -> None:
    with pytest.raises(RecipeError, match=r"make the trainer with grpo_trainer\(\)"):
        reward_function(Recipe.loads(recipe(head='advantage = "rloo"')), server)
    shaped = 'max_missing = 1.0\nadvantage = { name = "asymmetric_shaping" }'
    function = reward_function(Recipe.loads(recipe(head=shaped)), server)
    texts = [str(number) for number in range(6)]
    told = call(function, prompts=["p"] * 6, completions=texts)
    raw = [drawn("p", text) for text in texts]
    assert [one is None for one in told] == [one is None for one in raw]
    assert told != raw


def test_aspects_reach_the_logs(server: str) -> None:
    metrics: dict[str, float] = {}
    extras: dict[str, list[Any]] = {}
    function = reward_function(Recipe.loads(recipe()), server)
    texts = [str(number) for number in range(6)]
    given = {"log_metric": metrics.__setitem__, "log_extra": extras.__setitem__}
    call(function, prompts=["p"] * 6, completions=texts, **given)
    kept = [one for text in texts if (one := drawn("p", text)) is not None]
    assert metrics["assay/main/half"] == pytest.approx(sum(kept) / len(kept) / 2)
    assert "judge_unavailable" in extras["main/code"]


def arguments(folder: Path, **more: Any) -> dict[str, Any]:
    """Those of a trainer of a tiny model, for two steps."""
    from datasets import Dataset
    from trl import GRPOConfig  # type: ignore[attr-defined]  # exported lazily

    tiny_model(folder / "model")
    config = GRPOConfig(
        output_dir=str(folder / "out"), use_cpu=True, max_steps=2, per_device_train_batch_size=8, num_generations=8,
        max_completion_length=4, bf16=False, gradient_checkpointing=False, report_to="none", save_strategy="no",
        logging_steps=1, disable_tqdm=True, **more,
    )  # fmt: skip
    rows = [{"prompt": f"{n} plus {n}", "answer": str(2 * n)} for n in range(4)]
    return {"model": str(folder / "model"), "args": config, "train_dataset": Dataset.from_list(rows)}


def trained(trainer: Any) -> tuple[list[float | None], list[float]]:
    """Rewards and advantages of the last step, as the trainer logged them."""
    seen: dict[str, list[Any]] = {}
    log = trainer.log

    def keep(*given: Any, **named: Any) -> None:
        if trainer._logs["advantages"]:
            seen.update(
                advantages=list(trainer._logs["advantages"])[-8:],
                texts=list(zip(trainer._logs["prompt"], trainer._logs["completion"], strict=True))[-8:],
            )
        log(*given, **named)

    trainer.log = keep
    trainer.train()
    return [drawn(prompt, completion) for prompt, completion in seen["texts"]], seen["advantages"]


@pytest.mark.parametrize("method", ["trl", "grpo", "rloo"])
def test_an_outage_of_a_third_changes_no_surviving_advantage(server: str, tmp_path: Path, method: str) -> None:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "trl":
            from trl import GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

            function = reward_function(Recipe.loads(recipe()), server, max_missing=1.0)
            trainer = GRPOTrainer(reward_funcs=function, **arguments(tmp_path))  # type: ignore[arg-type]
        else:
            loaded = Recipe.loads(recipe(head=f'max_missing = 1.0\nadvantage = "{method}"'))
            trainer = grpo_trainer(loaded, server, max_missing=1.0, **arguments(tmp_path))
        rewards, advantages = trained(trainer)
    assert trainer.state.global_step == 2
    missing = [one is None for one in rewards]
    if method == "rloo":
        kept = np.array([one for one in rewards if one is not None])
        expected = np.zeros(8)
        if len(kept) > 1:
            expected[~np.array(missing)] = (kept - kept.mean()) * len(kept) / (len(kept) - 1)
    else:
        expected = normalised(rewards, 1e-4 if method == "trl" else 1e-6)
    np.testing.assert_allclose(advantages, expected, rtol=1e-6, atol=2e-6)
    assert not np.any(np.array(advantages)[missing])


def test_what_the_trainer_with_a_recipes_method_refuses(server: str) -> None:
    for head, said in (('advantage = "none"', "has none"), ('advantage = "spo"', "remembers earlier steps")):
        with pytest.raises(RecipeError, match=said):
            grpo_trainer(Recipe.loads(recipe(head=head)), server)
    with pytest.raises(RecipeError, match="the only reward function"):
        grpo_trainer(Recipe.loads(recipe()), server, reward_funcs=[])


def test_two_steps_of_grpo(address: str, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

        tiny_model(tmp_path / "model")
        rows = [{"prompt": f"{n} plus {n}", "answer": str(2 * n)} for n in range(4)]
        config = GRPOConfig(
            output_dir=str(tmp_path / "out"), use_cpu=True, max_steps=2, per_device_train_batch_size=4,
            num_generations=4, max_completion_length=4, bf16=False, gradient_checkpointing=False, report_to="none",
            save_strategy="no", logging_steps=1, disable_tqdm=True,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=str(tmp_path / "model"),
            # It takes coroutine functions, which its annotation does not say.
            reward_funcs=reward_function(Recipe.loads(RECIPE), address),  # type: ignore[arg-type]
            args=config,
            train_dataset=Dataset.from_list(rows),
        )
        trainer.train()
    assert trainer.state.global_step == 2
    logged = [entry for entry in trainer.state.log_history if "rewards/exact_and_short/mean" in entry]
    assert len(logged) == 2
    for entry in logged:
        assert entry["assay/correct/missing"] == 0.0
        # Four tokens are at most 100 characters of this vocabulary, so that half a point is certain.
        assert entry["rewards/exact_and_short/mean"] >= 0.5
    assert json.dumps(logged)
