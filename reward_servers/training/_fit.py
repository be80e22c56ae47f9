"""Fitting a model to encoded rows, with the trainer of transformers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models import Encoded, Loaded, head_of, reads_last, takes_segments
from reward_servers.training._examples import Example, Point, Rows, tabled
from reward_servers.training._frozen import fit_head
from reward_servers.training._objective import Objective
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._setup import write

if TYPE_CHECKING:
    import torch


def fit(loaded: Loaded, examples: Sequence[Example], run: Run) -> dict[str, float]:
    """Fit the model in place.

    With a frozen backbone, what the head reads of each conversation is computed once, and the head is fitted to that.

    Args:
        loaded: The model.
        examples: The rows.
        run: The settings.

    Returns:
        What an ensemble found, where there is one.

    Raises:
        TrainingError: The backbone is to be frozen, and the model's head is not found; or settings do not go together.
    """
    figures: dict[str, float] = {}
    if run.freeze and run.objective.contrastive:
        raise TrainingError("contrastive: shapes the backbone, which is frozen; leave one of the two out")
    if run.freeze:
        figures = fit_head(loaded, examples, run)
    elif run.denoise != "keep":
        raise TrainingError("denoise: an ensemble of whole models is not trained; freeze the backbone")
    else:
        _run_trainer(loaded, examples, run)
    loaded.model.eval().requires_grad_(False).to(loaded.device)
    return figures


def fit_and_write(
    loaded: Loaded, examples: Sequence[Example], run: Run, out: Path, *, given: int, longest: int, noun: str = "rows"
) -> dict[str, Any]:
    """Fit the model, and write it with its tokenizer.

    Args:
        loaded: The model.
        examples: The rows that fit.
        run: The settings.
        out: The directory to write.
        given: How many rows there were.
        longest: Tokens of the longest that fits.
        noun: What the rows are.

    Returns:
        What the report says of the training.

    Raises:
        TrainingError: None of the rows fits, or as for `fit`.
    """
    if not examples:
        raise TrainingError(f"all {given} {noun} are longer than {longest} tokens; raise max_length")
    figures = fit(loaded, examples, run)
    write(loaded, out)
    return {"rows": len(examples), "left_out": given - len(examples), "seed": run.seed, **figures}


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

    class RowTrainer(transformers.Trainer):
        """The trainer of transformers with a loss over rows."""

        def __init__(self, *, objective: Objective, **options: Any) -> None:
            super().__init__(**options)
            self._objective = objective

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """The loss of a batch."""
            rows = Rows(*(inputs[name] for name in Rows._fields))
            with _listening(model, on=self._objective.contrastive > 0) as features:
                outputs = _outputs(model, inputs).float()
            loss = self._objective.of_rows(rows, outputs)
            if features:
                loss = loss + self._objective.of_features(_differences(features[-1], rows))
            return (loss, {"outputs": outputs}) if return_outputs else loss

    return RowTrainer


@contextmanager
def _listening(model: Any, *, on: bool) -> Iterator[list[torch.Tensor]]:
    """What the model's head is given, if it is listened to."""
    features: list[torch.Tensor] = []
    head = head_of(model)
    if not on:
        yield features
        return
    if head is None:
        raise TrainingError("contrastive: the model's head is not known apart from the rest; leave it out")
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        yield features
    finally:
        hook.remove()


def _differences(features_all: torch.Tensor, rows: Rows) -> torch.Tensor:
    """``[P, F]`` what the head reads of each chosen response less what it reads of the rejected one."""
    features = features_all[:, 0] if features_all.dim() == 3 else features_all
    pairs = rows.points[rows.kinds == 0][:, :2]
    return features[pairs[:, 0]] - features[pairs[:, 1]]


def _collate(batch: Sequence[Example], pad: int) -> dict[str, torch.Tensor]:
    """Distinct sequences, padded on the right, the points in them, and the rows."""
    import torch

    sequences, points, rows = tabled(batch)
    width = max(len(sequence.ids) for sequence in sequences)
    return {
        "input_ids": torch.tensor([[*sequence.ids, *[pad] * (width - len(sequence.ids))] for sequence in sequences]),
        "token_type_ids": torch.tensor(
            [[*sequence.types, *[0] * (width - len(sequence.types))] for sequence in sequences]
        ),
        "lengths": torch.tensor([len(sequence.ids) for sequence in sequences]),
        "sequences": torch.tensor([point.sequence for point in points]),
        "places": torch.tensor([_place(point, sequences) for point in points]),
        "in_places": torch.tensor(any(point.place is not None for point in points)),
        **rows._asdict(),
    }


def _place(point: Point, sequences: Sequence[Encoded]) -> int:
    return point.place if point.place is not None else len(sequences[point.sequence].ids) - 1


def _outputs(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """``[S, H]`` outputs of the points, read where a server reads them: the length tells which token is the last."""
    import torch

    ids, lengths = inputs["input_ids"], inputs["lengths"]
    mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    arguments = {"input_ids": ids, "attention_mask": mask.long()}
    if takes_segments(model):
        arguments["token_type_ids"] = inputs["token_type_ids"]
    sequences, places = inputs["sequences"], inputs["places"]
    if bool(inputs["in_places"]):
        of_tokens: torch.Tensor = model(**arguments).logits[sequences, places]
        return of_tokens
    if not reads_last(model):
        logits: torch.Tensor = model(**arguments).logits
        return logits[sequences]
    hidden = model.base_model(**arguments, use_cache=False).last_hidden_state
    last: torch.Tensor = model.score(hidden[sequences, places])
    return last
