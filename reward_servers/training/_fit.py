"""Fitting a model to encoded pairs, with the trainer of transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models import Encoded, Loaded, reads_last
from reward_servers.training._objective import Objective
from reward_servers.training._settings import Run, TrainingError

if TYPE_CHECKING:
    import torch

__all__ = ["Example", "fit"]

_HEADS = ("score", "classifier", "classification_head")


@dataclass(frozen=True, slots=True)
class Example:
    """An encoded pair.

    Attributes:
        chosen: The conversation with the better response.
        rejected: The one with the worse.
        margin: How much more the better one should score.
        label: Probability that the preference holds.
    """

    chosen: Encoded
    rejected: Encoded
    margin: float
    label: float


def fit(loaded: Loaded, examples: Sequence[Example], run: Run) -> None:
    """Fits the model in place.

    With a frozen backbone, what the head reads of each conversation is computed once, and the head is fitted to that.

    Args:
        loaded: The model.
        examples: The pairs.
        run: The settings.

    Raises:
        TrainingError: The backbone is to be frozen, and the model's head is not found.
    """
    pad = loaded.tokenizer.pad_token_id or 0
    if not run.freeze:
        _run_trainer(loaded.model, examples, lambda batch: _collate(batch, pad), _scores, run)
    else:
        name = next((name for name in _HEADS if hasattr(loaded.model, name)), None)
        if name is None:
            raise TrainingError(f"{loaded.path}: has no head under {', '.join(_HEADS)}; train without freeze")
        head = getattr(loaded.model, name)
        rows = _features(loaded.model, head, examples, pad, run.batch_size)
        _run_trainer(head, rows, _collate_features, _head_scores, run)
    loaded.model.eval().requires_grad_(False).to(loaded.device)


def _run_trainer(
    model: Any, rows: Sequence[Any], collate: Callable[..., Any], scores: Callable[..., Any], run: Run
) -> None:
    import transformers

    steps = run.epochs * len(rows) / run.batch_size
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder,
            num_train_epochs=run.epochs,
            learning_rate=run.learning_rate,
            per_device_train_batch_size=run.batch_size,
            warmup_steps=max(1, round(0.1 * steps)),
            seed=run.seed,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        trainer = _trainer_class()(
            model=model,
            args=arguments,
            train_dataset=rows,
            data_collator=collate,
            scores=scores,
            objective=run.objective,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


def _trainer_class() -> Any:
    import transformers

    class PairTrainer(transformers.Trainer):
        """The trainer of transformers with a loss over pairs."""

        def __init__(self, *, scores: Callable[..., Any], objective: Objective, **options: Any) -> None:
            super().__init__(**options)
            self._scores = scores
            self._objective = objective

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """The loss of a batch, chosen conversations above and rejected ones below."""
            chosen, rejected = self._scores(model, inputs).float().chunk(2)
            loss = self._objective(chosen, rejected, inputs["margins"], inputs["certainties"])
            return (loss, {"chosen": chosen, "rejected": rejected}) if return_outputs else loss

    return PairTrainer


def _collate(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Chosen conversations above, rejected ones below, padded on the right."""
    import torch

    rows = [*(one.chosen for one in batch), *(one.rejected for one in batch)]
    width = max(len(row.ids) for row in rows)
    return {
        "input_ids": torch.tensor([[*row.ids, *[pad] * (width - len(row.ids))] for row in rows]),
        "token_type_ids": torch.tensor([[*row.types, *[0] * (width - len(row.types))] for row in rows]),
        "lengths": torch.tensor([len(row.ids) for row in rows]),
        "margins": torch.tensor([one.margin for one in batch]),
        "certainties": torch.tensor([one.label for one in batch]),
    }


def _scores(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """``[B]`` outputs, read where a server reads them: at the last token, which the length tells."""
    import torch

    ids, lengths = inputs["input_ids"], inputs["lengths"]
    mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    given = {"input_ids": ids, "attention_mask": mask.long()}
    if int(getattr(model.config, "type_vocab_size", None) or 0) > 1:
        given["token_type_ids"] = inputs["token_type_ids"]
    if not reads_last(model):
        logits: torch.Tensor = model(**given).logits
        return logits[:, 0]
    hidden = model.base_model(**given, use_cache=False).last_hidden_state
    last: torch.Tensor = model.score(hidden[torch.arange(len(ids), device=ids.device), lengths - 1])
    return last[:, 0]


def _features(model: Any, head: Any, examples: Sequence[Example], pad: int, size: int) -> list[dict[str, torch.Tensor]]:
    """What the head reads of each pair, chosen first."""
    import torch

    read: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].detach()))
    model.eval()
    rows = []
    try:
        with torch.no_grad():
            for start in range(0, len(examples), size):
                batch = examples[start : start + size]
                inputs = _collate(batch, pad)
                read.clear()
                _scores(model, inputs)
                chosen, rejected = read[0].chunk(2)
                rows += [
                    {"features": torch.stack(sides), "margins": margin, "certainties": certainty}
                    for *sides, margin, certainty in zip(
                        chosen, rejected, inputs["margins"], inputs["certainties"], strict=True
                    )
                ]
    finally:
        hook.remove()
    return rows


def _collate_features(batch: Sequence[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    import torch

    sides = torch.stack([row["features"] for row in batch], dim=1)
    return {
        "features": sides.flatten(0, 1),
        "margins": torch.stack([row["margins"] for row in batch]),
        "certainties": torch.stack([row["certainties"] for row in batch]),
    }


def _head_scores(head: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """``[B]`` outputs of the head alone."""
    logits: torch.Tensor = head(inputs["features"])
    return logits[:, 0]
