"""Settings of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from reward_servers.engines.models import Pooling, Template
from reward_servers.training._objective import Objective


class TrainingError(RuntimeError):
    """Training cannot begin or did not end well; the message names the setting and the remedy."""


@dataclass(frozen=True, slots=True)
class Run:
    """Settings of a run.

    Attributes:
        base: Directory of the model to begin with: a sequence classifier, or a model without such a head.
        template: How a conversation becomes a text; ``None`` takes the tokenizer's own, or pairs for encoders.
        max_length: Tokens of a conversation; pairs with a longer response are left out, and counted.
        objective: The loss.
        epochs: Passes over the pairs.
        learning_rate: Peak of the learning rate, which rises and falls linearly.
        batch_size: Pairs of a step.
        freeze: Whether only the head is trained.
        pooling: What a new head reads: ``"own"`` what the model's class gives it, ``"mean"`` an encoder's average.
        denoise: What becomes of pairs that an ensemble of heads sees the other way round: ``"soft"`` softens their
            label, ``"flip"`` turns them, ``"drop"`` leaves them out; ``"keep"`` trains no ensemble.
        ensemble: Members of it.
        smoothing: How much ``"soft"`` takes from a label.
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
    held_out: float = 0.2
    seed: int = 0
    shuffle_labels: bool = False
    threads: int = 0
