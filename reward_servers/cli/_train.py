"""``assay train``: a model that is served, from a file of preferences, steps or outcomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._errors import UserError
from reward_servers.cli._train_report import show

if TYPE_CHECKING:
    from reward_servers.training import Run

_SHARED = frozenset({"max_length", "epochs", "learning_rate", "seed", "threads"})
_HEADED = _SHARED | {"batch_size", "freeze", "shuffle_labels"}
_PAIRED = _HEADED | {"objective", "flip_rate", "label_smoothing", "contrastive", "denoise", "pooling"}
_TAKES = {
    "preference": _PAIRED | {"template", "lists", "normaliser"},
    "comparison": _PAIRED | {"layout"},
    "process": _HEADED | {"separator"},
    "value": _SHARED | {"window"},
}
"""Options of each kind, beside the base and the directories."""
_CHOICES = {
    "template": ("chat", "pair", "concat"),
    "objective": ("bradley_terry", "robust"),
    "lists": ("list-mle", "logistic", "lambda"),
    "pooling": ("own", "mean", "chunks"),
    "denoise": ("soft", "flip", "drop", "keep"),
    "normaliser": ("std", "calibrated"),
}
_OBJECTIVE = {"objective": "kind", "flip_rate": "flip_rate", "label_smoothing": "label_smoothing"}
_OBJECTIVE |= {"lists": "lists", "contrastive": "contrastive"}
_BESIDE = ("layout", "separator", "window")
_VALUE = {"epochs": 30.0, "learning_rate": 0.02, "max_length": 512}


def train(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="preference, comparison, process or value.")],
    rows: Annotated[Path, typer.Argument(metavar="ROWS", help="JSON Lines; docs/preference.md shows each kind.")],
    base: Annotated[Path, typer.Option("--base", help="Directory of the model to begin with.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Directory to write; it must not exist.")],
    held_out: Annotated[Path | None, typer.Option("--held-out", help="Rows for the report; a share without.")] = None,
    objective: Annotated[str | None, typer.Option(help="Of pairs: bradley_terry or robust.")] = None,
    flip_rate: Annotated[float | None, typer.Option(help="Share of wrong labels, for robust.")] = None,
    label_smoothing: Annotated[float | None, typer.Option(help="Taken from the certainty of every label.")] = None,
    lists: Annotated[str | None, typer.Option(help="Of lists: list-mle, logistic or lambda.")] = None,
    contrastive: Annotated[float | None, typer.Option(help="Weight of a contrastive term over pairs.")] = None,
    template: Annotated[str | None, typer.Option(help="chat, pair or concat; the model's own without.")] = None,
    layout: Annotated[str | None, typer.Option(help="What a comparison reads: {prompt}, {first}, {second}.")] = None,
    separator: Annotated[
        str | None, typer.Option(help="Text behind each step; a line break without, or the tokenizer's own token.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Outcomes that a value model takes in; 256 without.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a sequence; longer rows are left out.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the rows; 3, for value 30.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Its peak; 5e-5, for value 0.02.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of a step; 16 without.")] = None,
    freeze: Annotated[bool, typer.Option("--freeze", help="Train the head only.")] = False,
    pooling: Annotated[
        str | None, typer.Option(help="What a new head reads: own, mean of an encoder, chunks of a decoder.")
    ] = None,
    denoise: Annotated[
        str | None, typer.Option(help="Pairs that an ensemble sees the other way round: soft, flip, drop or keep.")
    ] = None,
    normaliser: Annotated[str | None, typer.Option(help="Of served scores: std or calibrated.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of head, order and split.")] = None,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Draw every preference by lot: the control.")
    ] = False,
    threads: Annotated[int | None, typer.Option(help="Threads for computing on the CPU.")] = None,
) -> int:
    """Train a model, report on held-out rows, and write the settings that serve it."""
    options = {
        name: value for name, value in locals().items() if name not in ("kind", "rows", "base", "out", "held_out")
    }
    options = {name: value for name, value in options.items() if value is not None and value is not False}
    _check(kind, options)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} is not empty; give a directory that does not exist")
    from reward_servers.engines.models import EncodingError, ModelUnusableError
    from reward_servers.training import Objective, RowsError, Run, TrainingError

    beside = {name: options.pop(name) for name in _BESIDE if name in options}
    try:
        loss = Objective(**{_OBJECTIVE[name]: options.pop(name) for name in list(options) if name in _OBJECTIVE})
        settings = {**(_VALUE if kind == "value" else {}), **options}
        findings = _trained(kind, rows, Run(base=base, objective=loss, **settings), out, held_out, beside)
    except ImportError as error:
        raise UserError(f"{error}; install it with: pip install -e '.[train]' in a checkout of assay") from None
    except (RowsError, TrainingError, ModelUnusableError, EncodingError, ValueError) as error:
        raise UserError(str(error)) from None
    show(findings)
    print(f"serve it with: assay serve {kind} --config {out / 'server.toml'}")
    return 0


def _check(kind: str, options: dict[str, Any]) -> None:
    """Refuse a kind that there is not, options that say nothing to it, and values that are no choice."""
    if kind not in _TAKES:
        raise UserError(f"KIND: {kind!r} cannot be trained; there are {', '.join(_TAKES)}")
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if name not in _TAKES[kind]:
            takers = ", ".join(taker for taker, names in _TAKES.items() if name in names)
            raise UserError(f"{option}: has no meaning for {kind}; it is for {takers}")
        if name in _CHOICES and value not in _CHOICES[name]:
            raise UserError(f"{option}: {value!r} is not one of {', '.join(_CHOICES[name])}")


def _trained(kind: str, rows: Path, run: Run, out: Path, held_out: Path | None, beside: dict[str, Any]) -> Any:
    """Read the files and train; what was found."""
    from reward_servers import training
    from reward_servers.engines.preference import PAIR_LAYOUT

    if kind == "preference":
        return training.train_preference(*_read(training.read_preferences, rows, run, out, held_out))
    if kind == "comparison":
        pairs = _read(training.read_pairs, rows, run, out, held_out)
        return training.train_comparison(*pairs, **{"layout": PAIR_LAYOUT, **beside})
    if kind == "process":
        steps = _read(training.read_steps, rows, run, out, held_out)
        return training.train_process(*steps, **beside)
    return training.train_value(*_read(training.read_outcomes, rows, run, out, held_out), **beside)


def _read(read_rows: Any, rows: Path, run: Run, out: Path, held_out: Path | None) -> tuple[Any, Run, Path, Any]:
    return read_rows(rows), run, out, read_rows(held_out) if held_out is not None else None
