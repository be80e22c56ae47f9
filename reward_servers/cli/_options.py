"""The options of ``assay score``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reward_servers.cli._numbers import number, text, worker_count

Source = Annotated[
    Path,
    typer.Argument(
        metavar="IN", help="JSONL, JSON, CSV, parquet, Arrow, .gz, .zst, a data set's folder; - for standard input."
    ),
]
RecipeFile = Annotated[Path | None, typer.Option("--recipe", "-r", help="Recipe file (TOML).")]
Verifiers = Annotated[
    list[str] | None,
    typer.Option("--verifier", metavar="NAME", help="Ask it, without a recipe. Repeatable."),
]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", help="File to write: JSONL, .csv, .parquet, .gz; - for standard output; DIR/ for all."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="FIELD=COLUMN", help="Where the file has a field. Repeatable, or with commas."),
]
Shape = Annotated[
    str | None,
    typer.Option("--format", help="verl, trl, openai, lm-eval, inspect, sharegpt or plain; else it is detected."),
]
Join = Annotated[Path | None, typer.Option(help="A second file whose columns are added by an id, such as references.")]
On = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column with that id, or HERE=THERE where names differ.")
]
MediaRoot = Annotated[
    Path | None, typer.Option(help="Folder of images that rows give by their path; by default the file's.")
]
Arrays = Annotated[
    Path | None, typer.Option(help="Arrays with a row per rollout (.npz); by default the file's name with .npz.")
]
State = Annotated[
    Path | None, typer.Option(help="Where the method's state is kept: read if it is there, written at the end.")
]
Step = Annotated[
    int | None,
    typer.Option(help="Number of the training step, which schedules follow; 0 unless said.", min=0, max=2**63 - 1),
]
Run = Annotated[str, typer.Option("--run", help="Name of the training run, for the servers' records.", callback=text)]
StepRollouts = Annotated[
    int | None,
    typer.Option(help="Cut the file into steps of this many rollouts, of whole groups; it is one unless said.", min=1),
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Keep what is scored in OUT.partial, and go on from there when it is there."),
]
Keep = Annotated[bool, typer.Option("--keep", help="Write the rollout's own fields too, under rollout.")]
EndpointsFile = Annotated[Path | None, typer.Option(help="Where the servers are, as `assay up` writes it.")]
Endpoints = Annotated[
    list[str] | None,
    typer.Option("--endpoint", metavar="HOST:PORT", help="One running server for all verifiers. Repeat for replicas."),
]
Settings = Annotated[Path | None, typer.Option("--config", help="Settings file of the server, without a recipe.")]
Workers = Annotated[int | None, worker_count("Worker processes of each server that is started.")]
Evidence = Annotated[
    bool, typer.Option("--evidence", help="Write what each verifier extracted and compared. May quote references.")
]
Feedback = Annotated[
    bool, typer.Option("--feedback", help="Write what the policy may be shown of its mistakes, such as guidance.")
]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="HTML", help="Also write a page with plots and the groups to browse.")
]
PageGroups = Annotated[int, typer.Option("--report-groups", help="Groups on that page at most.", min=1)]
Label = Annotated[str | None, typer.Option(metavar="REWARD", help="The reward that expected.score is the label of.")]
Tolerance = Annotated[float, number("How far a score may be from a label other than 0 and 1.", least=0, most=1e9)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what the servers log.")]
