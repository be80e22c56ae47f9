"""Rows of scored files, for the commands that look at them; texts come from the input where the rows lack them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._inputs import read_columns, read_source

if TYPE_CHECKING:
    from reward_servers.reporting import Entry

_MAIN = "rollouts.jsonl"
_SHOWN = 5


class ScoredRows:
    """Rows that can be read again and again.

    Attributes:
        source: What was named.
        files: The files, in order.
        problems: Rows that cannot be read, found by the last reading.
    """

    def __init__(self, source: Path, rollouts: Path | None = None, columns: Sequence[str] = ()) -> None:
        """Find the rows.

        Args:
            source: A file, or a folder that ``assay score -o DIR/`` or a ``[record]`` wrote.
            rollouts: The file that was scored, for the texts of rows that lack them.
            columns: ``FIELD=COLUMN`` of that file.

        Raises:
            UserError: There is no such file.
        """
        self.source = source
        self.files = files_of(source)
        self.problems: list[str] = []
        self._texts: dict[str, dict[str, Any]] = {}
        if rollouts is not None:
            file = read_source(rollouts, read_columns(columns))
            from trainer_client.result.rows import rollout_fields

            self._texts = {rollout.rollout_id: rollout_fields(rollout) for rollout in file.rollouts}

    def __call__(self) -> Iterator[Mapping[str, Any]]:
        """Read the rows from the beginning, with the texts that belong to them."""
        for row in self.plain():
            table = _in_step(row) if len(self.files) > 1 else row
            own = self._texts.get(str(table.get("rollout_id")))
            yield table if own is None else {**table, "rollout": own}

    def plain(self) -> Iterator[dict[str, Any]]:
        """Read the rows as they stand there."""
        from reward_servers.cli._writers import as_line
        from trainer_client import RolloutError
        from trainer_client.rollout.files import read_rows

        self.problems = []
        for file in self.files:
            try:
                for row in read_rows(file):
                    if row.table is None:
                        self.problems.append(f"{file}: {row.unit} {row.number}: {row.problem}")
                        continue
                    yield as_line(row.table)
            except RolloutError as error:
                raise UserError(f"{file}: {error}") from None

    def entries(self) -> Iterator[Entry]:
        """The scored rollouts among the rows; the others become problems."""
        from reward_servers.reporting import NotScoredError, entry_of

        for number, row in enumerate(self(), 1):
            try:
                yield entry_of(row)
            except NotScoredError as error:
                self.problems.append(f"row {number}: {error}")

    def about(self) -> dict[str, Any]:
        """What is known of the run beside its rows: the report of a folder; empty where there is none."""
        if not self.source.is_dir():
            return {}
        try:
            from trainer_client._client.record import STEPS

            if (self.source / STEPS).is_file():
                *_, last = (self.source / STEPS).read_text("utf-8").splitlines()
                step = json.loads(last)
                rewards = [{"name": name, "versions": versions} for name, versions in step["versions"].items()]
                return {**step, "rewards": rewards}
            about = json.loads((self.source / "report.json").read_text("utf-8"))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return {}
        return about if isinstance(about, dict) else {}

    def tell_problems(self) -> None:
        """Print the rows that could not be read to stderr."""
        for problem in self.problems[:_SHOWN]:
            print_note(str(problem))
        if len(self.problems) > _SHOWN:
            print_note(f"{len(self.problems) - _SHOWN} more rows cannot be read")


def files_of(source: Path) -> list[Path]:
    """The files with rows that a name stands for.

    Raises:
        UserError: There is none.
    """
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"{source}: there is no such file; give a file or folder that `assay score -o` wrote")
        return [source]
    if (source / _MAIN).is_file():
        return [source / _MAIN]
    if steps := sorted(source.glob("step-*.jsonl")):
        return steps
    raise UserError(
        f"{source}: there is neither {_MAIN} nor step-*.jsonl in this folder; give one that `assay score -o DIR/` or a "
        "[record] wrote"
    )


def _in_step(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a record among those of other steps, in which the same ids may come again."""
    step = f"{row.get('run') or 'step'} {row.get('step', 0)}: "
    return {**row, "rollout_id": f"{step}{row.get('rollout_id')}", "group_id": f"{step}{row.get('group_id')}"}
