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

import pytest

from trainer_client import Recipe, RecipeError, RolloutError
from trainer_client.adapters.trl import reward_function

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
    process.wait(20)
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
    """A model of one layer and a tokenizer of digits, made here: nothing is downloaded."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<pad>", "<eos>", "<unk>", *map(str, range(10)), *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


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
