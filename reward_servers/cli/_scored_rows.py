"""Rows of scored files, for the commands that look at them; texts come from the input where the rows lack them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._inputs import read_columns, read_source
from reward_servers.cli._whole_file import REPORT, ROLLOUTS

if TYPE_CHECKING:
    from reward_servers.reporting import Entry

_SHOWN = 5
_AGAIN = "score again, or remove it to go on without it"


class ScoredRows:
    """Rows that can be read again and again.

    Attributes:
        source: What was named.
        files: The files, in order.
        problems: Rows that cannot be read, found by the last reading, each with its file.
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
                    try:
                        line = as_line(row.table)
                    except ValueError as error:
                        self.problems.append(f"{file}: {row.unit} {row.number}: {error}")
                        continue
                    yield line
            except RolloutError as error:
                raise UserError(str(error)) from None

    def entries(self) -> Iterator[Entry]:
        """The scored rollouts among the rows; the others become problems."""
        from reward_servers.reporting import NotScoredError, entry_of

        for number, row in enumerate(self(), 1):
            try:
                yield entry_of(row)
            except NotScoredError as error:
                self.problems.append(f"{self.source}: row {number}: {error}")

    def about(self) -> dict[str, Any]:
        """What is known of the run beside its rows: the report of a folder; empty where there is none.

        Raises:
            UserError: There is one that cannot be used.
        """
        from trainer_client._client.record import STEPS

        if not self.source.is_dir():
            return {}
        is_record = (self.source / STEPS).is_file()
        path = self.source / (STEPS if is_record else REPORT)
        try:
            text = path.read_text("utf-8")
            if is_record:
                # What follows the last line break is a step that is being written, or was cut off.
                text = text.rpartition("\n")[0].rpartition("\n")[2]
            about = json.loads(text) if text else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"{path}: cannot be read ({error}); {_AGAIN}") from None
        if about and is_record and isinstance(about, dict):
            answered = about.get("versions")
            about["rewards"] = (
                [{"name": name, "versions": versions} for name, versions in answered.items()]
                if isinstance(answered, dict)
                else None
            )
        if not _is_usable(about):
            raise UserError(f"{path}: does not say which versions of verifiers answered for each reward; {_AGAIN}")
        return about

    def tell_problems(self) -> None:
        """Print the rows that could not be read to stderr."""
        for problem in self.problems[:_SHOWN]:
            print_note(problem)
        if len(self.problems) > _SHOWN:
            print_note(f"{len(self.problems) - _SHOWN} more rows cannot be read")


def _is_usable(about: Any) -> bool:
    rewards = about.get("rewards", []) if isinstance(about, dict) else None
    return isinstance(rewards, list) and all(
        isinstance(reward, dict)
        and isinstance(reward.get("name"), str)
        and isinstance(reward.get("versions"), list)
        and all(isinstance(version, str) for version in reward["versions"])
        for reward in rewards
    )


def files_of(source: Path) -> list[Path]:
    """The files with rows that a name stands for.

    Raises:
        UserError: There is none.
    """
    if not source.is_dir():
        if not source.exists():
            raise UserError(f"{source}: there is no such file; give a file or folder that `assay score -o` wrote")
        return [source]
    if (source / ROLLOUTS).is_file():
        return [source / ROLLOUTS]
    if steps := sorted(source.glob("step-*.jsonl")):
        return steps
    raise UserError(
        f"{source}: there is neither {ROLLOUTS} nor step-*.jsonl in this folder; give one that `assay score -o DIR/` "
        "or a [record] wrote"
    )


def _in_step(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a record among those of other steps, in which the same ids may come again."""
    step = f"{row.get('run') or 'step'} {row.get('step', 0)}: "
    return {**row, "rollout_id": f"{step}{row.get('rollout_id')}", "group_id": f"{step}{row.get('group_id')}"}
