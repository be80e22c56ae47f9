"""The toy task and the training of a tiny model on it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainer_client import Recipe, Reward

LETTERS = "abcdef"
STEPS = 120
RECIPE = Path(__file__).with_name("recipe.toml")
_PROMPTS = 8
"""Prompts of a step."""
GROUP = 8


@dataclass(frozen=True)
class Run:
    """A way to train.

    Attributes:
        name: What it is called in the plot.
        method: A method of ours, through ``grpo_trainer``; empty for TRL's own advantages of our rewards.
        outage: Share of the rollouts that get no verdict.
        on_missing: What those become: ``"none"``, or a number in the place of a reward.
    """

    name: str
    method: str = ""
    outage: float = 0.0
    on_missing: str | float = "none"


def recipe_of(run: Run) -> Recipe:
    """The recipe of a run."""
    recipe = Recipe.load(RECIPE)
    rewards: list[Reward] = [replace(reward, options={"outage": run.outage}) for reward in recipe.rewards]
    return replace(recipe, rewards=tuple(rewards), advantage=run.method or None)


def save_model(folder: Path, words: Sequence[str] = LETTERS, *, width: int = 48, positions: int = 16) -> None:
    """Write a tokenizer and a model of some ten thousand weights, made from its configuration alone.

    Args:
        folder: Where.
        words: What the tokenizer knows.
        width: Of the model's layer.
        positions: Tokens of a prompt with its answer, at most.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: place for place, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=positions, pad_token_id=0,
        eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def rows() -> list[dict[str, str]]:
    """The data set: two letters, and the letter after each."""
    after = dict(zip(LETTERS, LETTERS[1:] + LETTERS[0], strict=True))
    return [{"prompt": f"{a} {b}", "answer": f"{after[a]} {after[b]}"} for a in LETTERS for b in LETTERS]


def train(run: Run, endpoints: Any, *, seed: int, steps: int = STEPS, tell: Callable[[int, float], None]) -> None:
    """Train a fresh model.

    Args:
        run: How.
        endpoints: Where the servers are.
        seed: Seed of the model, of the sampling and of the verifier.
        steps: Optimizer steps.
        tell: Takes each step and the mean of the rewards that there were.
    """
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback, TrainerCallback, set_seed
    from transformers.utils.logging import disable_progress_bar
    from trl import GRPOConfig, GRPOTrainer  # type: ignore[attr-defined]  # exported lazily

    from trainer_client.adapters.trl import grpo_trainer, reward_function

    logging.getLogger("trl").setLevel(logging.ERROR)  # it warns of each row without a reward
    torch.set_num_threads(1)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    set_seed(seed)

    class Tell(TrainerCallback):
        """Passes the mean on."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **others: Any) -> None:
            """Take what the adapter logged: the mean of what the verifier said, outage or not."""
            if logs and "assay/right/mean" in logs:
                tell(int(state.global_step), float(logs["assay/right/mean"]))

    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model")
        config = GRPOConfig(
            output_dir=folder, use_cpu=True, bf16=False, seed=seed, max_steps=steps, learning_rate=3e-3,
            per_device_train_batch_size=_PROMPTS * GROUP, num_generations=GROUP, max_completion_length=2,
            lr_scheduler_type="constant", gradient_checkpointing=False, report_to="none", save_strategy="no",
            logging_steps=1, disable_tqdm=True, beta=0.0, temperature=1.0,
        )  # fmt: skip
        arguments: dict[str, Any] = {
            "model": str(Path(folder) / "model"),
            "args": config,
            "train_dataset": Dataset.from_list(rows()),
            "callbacks": [Tell()],
        }
        recipe = recipe_of(run)
        if run.method:
            trainer = grpo_trainer(recipe, endpoints, seed=seed, max_missing=1.0, **arguments)
        else:
            reward: Any = reward_function(recipe, endpoints, seed=seed, on_missing=run.on_missing, max_missing=1.0)  # type: ignore[arg-type]
            trainer = GRPOTrainer(reward_funcs=reward, **arguments)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
