"""``assay report``: a page about a run that was scored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._scored_rows import ScoredRows, files_of
from reward_servers.cli._whole_file import refuse_overwriting, whole_file

if TYPE_CHECKING:
    from reward_servers.reporting import ReportOptions, Rows
    from trainer_client import Recipe, Summary

Input = Annotated[
    Path | None, typer.Option("--rollouts", metavar="IN", help="The file that was scored, where rows have no texts.")
]
InputColumns = Annotated[
    list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="Where that file has a field. Repeatable.")
]
GROUPS = 200


def report(
    source: Annotated[Path, typer.Argument(metavar="SCORED", help="What `assay score -o` wrote: a file or a folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    rollouts: Input = None,
    columns: InputColumns = None,
    max_groups: Annotated[int, typer.Option(help="Groups on the page at most.", min=1)] = GROUPS,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Show references, and what each verifier extracted and compared.")
    ] = False,
) -> int:
    """Write a page about scored rollouts: plots, and the rollouts of each prompt side by side.

    The page is one file that asks for nothing and opens in any browser.
    """
    from reward_servers.reporting import ReportOptions

    refuse_overwriting("--out", out, {"the scored file": [source, *files_of(source)], "the input": rollouts})
    rows = ScoredRows(source, rollouts, columns or ())
    try:
        write_page(out, rows, ReportOptions(str(source), max_groups, evidence))
    finally:
        # Where no row is left, they are the reason.
        rows.tell_problems()
    print(f"report: {out}")
    return 0


def write_page(path: Path, rows: Rows, options: ReportOptions) -> None:
    """Write a page, and print what its reader should know.

    Raises:
        UserError: The rows are no scored rollouts.
    """
    from reward_servers.reporting import NotScoredError, write_report

    try:
        with whole_file(path) as file:
            notes = write_report(file, rows, options)
    except NotScoredError as error:
        raise UserError(f"{options.title}: {error}") from None
    for note in notes:
        print_note(f"{path}: {note}")


def write_run_page(
    path: Path,
    source: Path,
    recipe: Recipe,
    rows: Rows,
    summary: Summary,
    outcome: Mapping[str, Any],
    groups: int,
    evidence: bool,
) -> None:
    """Write a page about a run that was just scored, with everything that its table says."""
    from reward_servers.cli._outputs import grid_of_run
    from reward_servers.reporting import ReportOptions
    from trainer_client.result.summary import summary_lines

    grid, lines = grid_of_run(summary, outcome), tuple(summary_lines(summary))
    write_page(path, rows, ReportOptions(f"{source.name}: {recipe.name}", groups, evidence, grid=grid, lines=lines))
    print_note(f"report: {path}")
