"""Settings of a training run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reward_servers.engines.models import Pooling, Template
from reward_servers.training._objective import Objective

_LARGEST_SEED = 1 << 31
"""What generators take, with room for the members of an ensemble, which count on from it."""
_MOST_THREADS = 4096


class TrainingError(RuntimeError):
    """Training cannot begin or did not end well; the message names the setting and the remedy."""


@dataclass(frozen=True, slots=True)
class Run:
    """Settings of a run.

    Attributes:
        base: Directory of the model to begin with: a classifier, or a model without such a head.
        template: How a conversation becomes a text; ``None`` takes the tokenizer's own, or pairs for encoders.
        max_length: Tokens of a sequence; rows with a longer one are left out, and counted.
        objective: The loss.
        epochs: Passes over the rows.
        learning_rate: Peak of the learning rate, which rises and falls linearly.
        batch_size: Rows of a step.
        freeze: Whether only the head is trained.
        pooling: What a new head reads: ``"own"`` what the model's class gives it, ``"mean"`` an encoder's average,
            ``"chunks"`` the last state of a decoder, which a small transformer for each head attends over in pieces.
        denoise: What becomes of pairs that an ensemble of heads sees the other way round: ``"soft"`` softens their
            label, ``"flip"`` turns them, ``"drop"`` leaves them out; ``"keep"`` trains no ensemble.
        ensemble: Members of it.
        smoothing: How much ``"soft"`` takes from a label.
        normaliser: What the scores of a model with one head are standardised by: ``"std"`` mean and deviation of the
            held-out scores; ``"calibrated"`` their mean, and the temperature at which a difference of two scores is
            the log-odds of a preference.
        held_out: Share of the prompts that the report is made on.
        seed: Of the head, of the order and of the split.
        shuffle_labels: Whether every preference is drawn by lot: the control that shows what chance looks like.
        threads: Threads for computing on the CPU; 0 leaves the choice to torch.
    """

    base: Path
    template: Template | None = None
    max_length: int = 1024
    objective: Objective = field(default_factory=Objective)
    epochs: float = 3.0
    learning_rate: float = 5e-5
    batch_size: int = 16
    freeze: bool = False
    pooling: Pooling = "own"
    denoise: Literal["soft", "flip", "drop", "keep"] = "keep"
    ensemble: int = 5
    smoothing: float = 0.1
    normaliser: Literal["std", "calibrated"] = "std"
    held_out: float = 0.2
    seed: int = 0
    shuffle_labels: bool = False
    threads: int = 0

    def __post_init__(self) -> None:
        for name, least in (("epochs", 0.0), ("learning_rate", 0.0), ("batch_size", 0), ("max_length", 7)):
            if not least < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)} must be a number greater than {least:g}")
        for name, most in (("seed", _LARGEST_SEED), ("threads", _MOST_THREADS)):
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)} must lie between 0 and {most}")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out: {self.held_out} must lie between 0 and 1")
