"""A training run of a process reward model: labels of steps."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from reward_servers.engines.models import Encoded, EncodingError, Loaded
from reward_servers.engines.preference import Layout, ProcessModel
from reward_servers.training._examples import Example
from reward_servers.training._files import number_of, read_rows, turns_of
from reward_servers.training._fit import fit_and_write
from reward_servers.training._pairs import Turns
from reward_servers.training._run import settings_of
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._setup import load, parted, text_of


@dataclass(frozen=True, slots=True)
class LabelledSteps:
    """A response in steps.

    Attributes:
        prompt: Turns before it.
        steps: Its steps.
        labels: Of each, from 0 for a wrong step to 1 for a right one.
    """

    prompt: Turns
    steps: tuple[str, ...]
    labels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a model says of held-out steps. A step is right from a label, or a probability, of 0.5 on.

    Attributes:
        responses: How many.
        steps: How many.
        accuracy: Share of the steps that it sees as they are labelled.
        accuracy_when_right: Of right steps; None without any.
        accuracy_when_wrong: Of wrong steps; None without any.
        first_error_found: Share of the responses with a wrong step of which it sees the same one as the first; None
            without any.
        loss: Mean cross-entropy in nats.
    """

    responses: int
    steps: int
    accuracy: float
    accuracy_when_right: float | None
    accuracy_when_wrong: float | None
    first_error_found: float | None
    loss: float


def read_steps(path: Path) -> list[LabelledSteps]:
    """Read a JSON Lines file with ``prompt``, ``steps`` and ``labels`` (0 to 1, or false and true; one for each).

    Also with ``completions`` in place of ``steps``, as TRL's trainer of such models has them.

    Raises:
        RowsError: A line cannot be used, or there is none.
        OSError: The file cannot be read.
    """
    return read_rows(path, _labelled, "prompt, steps and labels")


def _labelled(data: dict[str, Any]) -> LabelledSteps:
    key = "completions" if "completions" in data and "steps" not in data else "steps"
    steps, labels = data.get(key), data.get("labels")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, str) and step.strip() for step in steps):
        raise ValueError(f"{key}: is not a list of texts, none of them empty")
    if not isinstance(labels, list) or len(labels) != len(steps):
        raise ValueError(f"labels: is not a list of {len(steps)} numbers, one for each step")
    values = [float(label) if isinstance(label, bool) else label for label in labels]
    numbers = tuple(number_of({"labels": value}, "labels", None, 1.0) for value in values)
    return LabelledSteps(
        turns_of(data.get("prompt", ""), "user", "prompt"), tuple(step.strip() for step in steps), numbers
    )


def train_process(
    rows: Sequence[LabelledSteps],
    run: Run,
    out: Path,
    held_out: Sequence[LabelledSteps] | None = None,
    *,
    separator: str | None = None,
) -> StepReport:
    """Train a classifier of tokens with one output, read behind each step as it is served, and write it.

    Args:
        rows: Responses in steps.
        run: The settings; the template and the objective of pairs mean nothing here.
        out: The directory to write.
        held_out: Rows for the report; None splits them off ``rows`` by prompt.
        separator: Text behind each step; None takes a line break or, where the tokenizer has no token for that, its
            own token between texts.

    Returns:
        What the held-out rows show, from the scores as they are served.

    Raises:
        TrainingError: The rows, the settings or the result cannot be used.
        ModelUnusableError: The base model cannot be used.
        ImportError: torch, transformers or accelerate is missing.
    """
    if run.pooling != "own" or run.denoise != "keep":
        raise TrainingError("pooling and denoise: are of pairs; a model of steps reads tokens")
    training, held_rows = parted(rows, run, held_out)
    if run.shuffle_labels:
        training = _by_lot(training, run.seed)
    loaded, longest = load(run, of_tokens=True)
    separator, layout = _laid_out(loaded, separator, longest)
    laid = [(row, layout.lay(text_of(row.prompt), row.steps)) for row in training]
    examples = [
        Example("rating", (Encoded(layout.ids),), row.labels, places=layout.places)
        for row, layout in laid
        if len(layout.ids) <= longest
    ]
    facts = fit_and_write(loaded, examples, run, out, given=len(training), longest=longest)
    settings = {"separator": separator, "good": "0", "bad": "", "max_length": longest}
    model = ProcessModel(
        out, "classifier", separator, "0", "", longest, device="cpu", dtype="float32", threads=run.threads
    )
    report = _judged(model, held_rows)
    (out / "report.json").write_text(json.dumps({**asdict(report), "training": facts}, indent=2) + "\n")
    (out / "server.toml").write_text(settings_of("process", {"path": str(out.resolve()), **settings}))
    return report


def _laid_out(loaded: Loaded, separator: str | None, longest: int) -> tuple[str, Layout]:
    """The separator, and how conversations are laid out with it.

    Raises:
        TrainingError: It cannot be used, or none is given and there is none.
    """
    own = loaded.tokenizer.sep_token or loaded.tokenizer.eos_token
    tried = [separator] if separator is not None else ["\n", *([own] if own else [])]
    reason = ""
    for candidate in tried:
        try:
            return candidate, Layout(loaded.tokenizer, candidate, longest)
        except EncodingError as error:
            raise TrainingError(f"{loaded.path}: {error}") from None
        except ValueError:
            reason = f"the tokenizer has no token for {candidate!r}; give a separator that it has one for, such as ';'"
    raise TrainingError(f"separator: {loaded.path}: {reason}")


def _by_lot(rows: Sequence[LabelledSteps], seed: int) -> list[LabelledSteps]:
    draw = random.Random(seed)  # noqa: S311 - a control is no secret
    labels = [label for row in rows for label in row.labels]
    draw.shuffle(labels)
    left = iter(labels)
    return [replace(row, labels=tuple(next(left) for _ in row.labels)) for row in rows]


def _judged(model: ProcessModel, held_rows: Sequence[LabelledSteps]) -> StepReport:
    """What the model that was written says of held-out steps."""
    predicted: list[list[float]] = []
    rows: list[LabelledSteps] = []
    for row in held_rows:
        laid = model.lay(text_of(row.prompt), row.steps)
        if len(laid.ids) <= model.max_length:
            predicted.append(model.score(laid))
            rows.append(row)
    if not rows:
        raise TrainingError(f"all {len(held_rows)} held-out rows are longer than {model.max_length} tokens")
    chances = np.array([chance for row in predicted for chance in row])
    if not np.isfinite(chances).all():
        raise TrainingError("the trained model gives scores that are not numbers; lower learning_rate")
    labels = np.array([label for row in rows for label in row.labels])
    right, agreed = labels >= 0.5, (chances >= 0.5) == (labels >= 0.5)
    sure = np.clip(chances, 1e-7, 1 - 1e-7)
    firsts = [
        _first_wrong(row.labels) == _first_wrong(chances_of_row)
        for row, chances_of_row in zip(rows, predicted, strict=True)
        if _first_wrong(row.labels) is not None
    ]
    return StepReport(
        len(rows),
        len(labels),
        float(agreed.mean()),
        float(agreed[right].mean()) if right.any() else None,
        float(agreed[~right].mean()) if not right.all() else None,
        sum(firsts) / len(firsts) if firsts else None,
        float(-(labels * np.log(sure) + (1 - labels) * np.log(1 - sure)).mean()),
    )


def _first_wrong(values: Sequence[float]) -> int | None:
    return next((place for place, value in enumerate(values) if value < 0.5), None)
