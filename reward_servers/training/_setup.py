"""What every run begins with: rows to train on and rows held out, seeds, and the model to train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from reward_servers.core import Message, Part, render
from reward_servers.engines.models import Loaded, load_base, quietly
from reward_servers.training._pairs import HasPrompt, Turns, split_by_prompt
from reward_servers.training._settings import Run, TrainingError

R = TypeVar("R", bound=HasPrompt)


def parted(rows: Sequence[R], run: Run, held_out: Sequence[R] | None) -> tuple[list[R], list[R]]:
    """Rows to train on and rows held out, and the seeds set.

    Raises:
        TrainingError: One of them is empty.
    """
    import torch
    import transformers

    if run.threads:
        torch.set_num_threads(run.threads)
    transformers.set_seed(run.seed)
    training, held_rows = (
        split_by_prompt(rows, run.held_out, run.seed) if held_out is None else (list(rows), list(held_out))
    )
    if not training or not held_rows:
        raise TrainingError(
            f"{len(training)} rows to train on and {len(held_rows)} held out; both are needed: give more rows"
        )
    return training, held_rows


def load(run: Run, *, outputs: int = 1, of_tokens: bool = False) -> tuple[Loaded, int]:
    """The model to train, and the tokens of its longest sequence.

    Raises:
        ModelUnusableError: Its files cannot be used.
    """
    loaded = load_base(run.base, run.pooling, outputs=outputs, of_tokens=of_tokens, frozen=run.freeze)
    return loaded, min(run.max_length, loaded.max_length or run.max_length)


def write(loaded: Loaded, out: Path) -> None:
    """Write model and tokenizer."""
    with quietly():
        loaded.model.save_pretrained(out)
        loaded.tokenizer.save_pretrained(out)


def text_of(turns: Turns) -> str:
    """Turns as one text, as verifiers read a prompt."""
    return render(tuple(Message(role, (Part("text", text),)) for role, text in turns))
