"""``assay data``: rows of a run made out of rows of a file."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._access import Options
from reward_servers.cli._check import read_options
from reward_servers.cli._console import json_text, print_note
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._whole_file import STDOUT, refuse_overwriting, whole_file

if TYPE_CHECKING:
    from reward_servers.preparing import DataStep, StepOptions

_SHOWN = 20


def data(
    name: Annotated[str | None, typer.Argument(metavar="[STEP]", help="A step; all of them without.")] = None,
    source: Annotated[Path | None, typer.Argument(metavar="[IN]", help="JSONL, JSON, CSV, parquet, .gz, -.")] = None,
    options: Options = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write, JSON Lines; - for standard output.")
    ] = None,
) -> int:
    """Make rows for a run: noisy prompts, mutants, exits, pairs of instructions, and more.

    Without a file the step and its options are described. A row that the step cannot use is reported with its number;
    the others are written. Exit code 0: all rows were used; 1: some were not; 2: the step or its options are wrong.
    """
    from reward_servers.preparing import STEPS

    if name is None:
        width = max(map(len, STEPS))
        print(
            "\n".join(f"{step.name:<{width}}  {step.summary}" for step in sorted(STEPS.values(), key=lambda s: s.name))
        )
        return 0
    if name not in STEPS:
        raise UserError(f"STEP {name!r} is not known; known are {', '.join(sorted(STEPS))}")
    if source is None:
        print(_described(STEPS[name]))
        return 0
    if out is None:
        raise UserError("give --out FILE for the rows; - is standard output")
    return _run(STEPS[name], source, _read(STEPS[name], options), out)


def _read(chosen: DataStep, text: str | None) -> StepOptions:
    from pydantic import ValidationError

    try:
        return chosen.options.model_validate(read_options(text))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"--options: {place}: {first['msg']}; see `assay data {chosen.name}`") from None


def _run(chosen: DataStep, source: Path, options: StepOptions, out: Path) -> int:
    from reward_servers.preparing import RejectedRow, prepared

    problems: list[str] = []
    count = 0
    if out != STDOUT:
        refuse_overwriting("--out", out, {"the input": source})
    encoding = sys.stdout.encoding if out == STDOUT else "utf-8"
    with contextlib.nullcontext(sys.stdout) if out == STDOUT else whole_file(out) as file:
        for row in prepared(chosen, _rows(source, problems), options):
            if isinstance(row, RejectedRow):
                problems.append(f"row {row.number}: {row.reason}")
                continue
            file.write(json_text(row, encoding) + "\n")
            count += 1
    for problem in problems[:_SHOWN]:
        print_note(f"{source}: {problem}")
    if len(problems) > _SHOWN:
        print_note(f"{source}: and {len(problems) - _SHOWN} more")
    summary = f"{count} rows written" + (f", {len(problems)} rows left out" if problems else "")
    print(summary, file=sys.stderr if out == STDOUT else sys.stdout)
    return EXIT_NO if problems else 0


def _rows(source: Path, problems: list[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    from trainer_client import RolloutError
    from trainer_client.rollout.files import read_rows

    try:
        for row in read_rows(source):
            if row.table is None:
                problems.append(f"{row.unit} {row.number}: {row.problem}")
            else:
                yield row.number, row.table
    except RolloutError as error:
        raise UserError(str(error)) from None


def _described(chosen: DataStep) -> str:
    lines = [f"{chosen.name}: {inspect.getdoc(chosen.function)}", "", "options:"]
    for name, field in chosen.options.model_fields.items():
        lines.append(f"  {name} = {json.dumps(field.default)}: {field.description}")
    return "\n".join(lines)
