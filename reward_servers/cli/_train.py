"""``assay train preference``: a preference model from a file of pairs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from reward_servers.engines.models import Pooling, Template
    from reward_servers.training import Report


def train(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What to train: preference.")],
    pairs: Annotated[Path, typer.Argument(metavar="PAIRS", help="JSON Lines with prompt, chosen and rejected.")],
    base: Annotated[Path, typer.Option("--base", help="Directory of the model to begin with.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write; it must not exist.")],
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="Pairs for the report; a share of the prompts without.")
    ] = None,
    objective: Annotated[str, typer.Option(help="bradley_terry or robust.")] = "bradley_terry",
    flip_rate: Annotated[float, typer.Option(help="Share of wrong labels, for the robust objective.")] = 0.0,
    label_smoothing: Annotated[float, typer.Option(help="Taken from the certainty of every label.")] = 0.0,
    template: Annotated[str | None, typer.Option(help="chat, pair or concat; the model's own without.")] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a conversation; longer pairs are left out.")] = 1024,
    epochs: Annotated[float, typer.Option(help="Passes over the pairs.")] = 3.0,
    learning_rate: Annotated[float, typer.Option(help="Its peak.")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="Pairs of a step.")] = 16,
    freeze: Annotated[bool, typer.Option("--freeze", help="Train the head only.")] = False,
    pooling: Annotated[str, typer.Option(help="What a new head reads: own, or mean of an encoder.")] = "own",
    denoise: Annotated[
        str, typer.Option(help="Pairs that an ensemble of heads sees the other way round: soft, flip, drop or keep.")
    ] = "keep",
    seed: Annotated[int, typer.Option(help="Of head, order and split.")] = 0,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Draw every preference by lot: the control.")
    ] = False,
    threads: Annotated[int, typer.Option(help="Threads for computing on the CPU; 0 leaves it to torch.")] = 0,
) -> int:
    """Train a preference model, report on held-out pairs, and write the settings that serve it."""
    if kind != "preference":
        raise UserError(f"KIND: {kind!r} cannot be trained; there is preference")
    _check_choices(template=template or "chat", objective=objective, pooling=pooling, denoise=denoise)
    if out.exists() and any(out.iterdir()):
        raise UserError(f"--out: {out} is not empty; give a directory that does not exist")
    from reward_servers.engines.models import ModelUnusableError
    from reward_servers.training import Objective, PairsError, Run, TrainingError, read_pairs, train_preference

    loss = cast('Literal["bradley_terry", "robust"]', objective)
    try:
        run = Run(
            base=base,
            template=cast("Template | None", template),
            max_length=max_length,
            objective=Objective(loss, label_smoothing, flip_rate),
            epochs=epochs,
            learning_rate=learning_rate,
            batch_size=batch_size,
            freeze=freeze,
            pooling=cast("Pooling", pooling),
            denoise=cast('Literal["soft", "flip", "drop", "keep"]', denoise),
            seed=seed,
            shuffle_labels=shuffle_labels,
            threads=threads,
        )
        report = train_preference(read_pairs(pairs), run, out, read_pairs(held_out) if held_out is not None else None)
    except ImportError as error:
        raise UserError(f"{error}; install it with: pip install -e '.[train]' in a checkout of assay") from None
    except (PairsError, TrainingError, ModelUnusableError, ValueError) as error:
        raise UserError(str(error)) from None
    _show(report, out)
    return 0


_CHOICES = {
    "template": ("chat", "pair", "concat"),
    "objective": ("bradley_terry", "robust"),
    "pooling": ("own", "mean"),
    "denoise": ("soft", "flip", "drop", "keep"),
}


def _check_choices(**given: str) -> None:
    for name, value in given.items():
        if value not in _CHOICES[name]:
            raise UserError(f"--{name}: {value!r} is not one of {', '.join(_CHOICES[name])}")


def _show(report: Report, out: Path) -> None:
    low, high = report.interval
    print(f"held-out pairs        {report.pairs}")
    print(f"accuracy              {report.accuracy:.3f}  (95 %: {low:.3f} to {high:.3f}; ties {report.ties})")
    for name in ("longer", "shorter"):
        value = dataclasses.asdict(report)[f"accuracy_when_chosen_is_{name}"]
        print(f"  chosen is {name:<11} {'no such pair' if value is None else f'{value:.3f}'}")
    print(f"calibration error     {report.calibration_error:.3f}  (temperature {report.temperature:.2f})")
    for band in report.bands:
        print(
            f"  scores {band.low:6.2f} to {band.high:6.2f} apart: {band.pairs} pairs, accuracy {band.accuracy:.3f}, "
            f"confidence {band.confidence:.3f}"
        )
    print(f"serve it with: assay serve preference --config {out / 'server.toml'}")
