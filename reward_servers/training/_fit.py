"""Fitting a model to encoded pairs, with the trainer of transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models import Loaded, reads_last, takes_segments
from reward_servers.training._examples import Example
from reward_servers.training._frozen import fit_head
from reward_servers.training._objective import Objective
from reward_servers.training._settings import Run, TrainingError

if TYPE_CHECKING:
    import torch


def fit(loaded: Loaded, examples: Sequence[Example], run: Run) -> dict[str, float]:
    """Fit the model in place.

    With a frozen backbone, what the head reads of each conversation is computed once, and the head is fitted to that.

    Args:
        loaded: The model.
        examples: The pairs.
        run: The settings.

    Returns:
        What an ensemble found, where there is one.

    Raises:
        TrainingError: The backbone is to be frozen, and the model's head is not found; or pairs are to be denoised, and
            it is not frozen.
    """
    found: dict[str, float] = {}
    if run.freeze:
        found = fit_head(loaded, examples, run)
    elif run.denoise != "keep":
        raise TrainingError("denoise: an ensemble of whole models is not trained; freeze the backbone")
    else:
        _run_trainer(loaded, examples, run)
    loaded.model.eval().requires_grad_(False).to(loaded.device)
    return found


def _run_trainer(loaded: Loaded, rows: Sequence[Example], run: Run) -> None:
    import transformers

    pad = loaded.tokenizer.pad_token_id or 0
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
            model=loaded.model,
            args=arguments,
            train_dataset=rows,
            data_collator=lambda batch: _collate(batch, pad),
            objective=run.objective,
        )
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()


def _trainer_class() -> Any:
    import transformers

    class PairTrainer(transformers.Trainer):
        """The trainer of transformers with a loss over pairs."""

        def __init__(self, *, objective: Objective, **options: Any) -> None:
            super().__init__(**options)
            self._objective = objective

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """The loss of a batch, chosen conversations above and rejected ones below."""
            chosen, rejected = _scores(model, inputs).float().chunk(2)
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
    if takes_segments(model):
        given["token_type_ids"] = inputs["token_type_ids"]
    if not reads_last(model):
        logits: torch.Tensor = model(**given).logits
        return logits[:, 0]
    hidden = model.base_model(**given, use_cache=False).last_hidden_state
    last: torch.Tensor = model.score(hidden[torch.arange(len(ids), device=ids.device), lengths - 1])
    return last[:, 0]
