"""What is scored: the rollouts of a file in whole groups, with bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError
from reward_servers.cli._inputs import unfitting, useless
from reward_servers.cli._stamps import Stamps, changed_source

if TYPE_CHECKING:
    from trainer_client import LineProblem, Recipe, Rollout
    from trainer_client.rollout.files import Form, RolloutReader, RowPositions

_HELD_BYTES = 64 << 20
"""Text of a file that is held; a larger one is read again while it is scored."""
_OVERHEAD = 1 << 10
_CHECKED = 2048
_PROBLEMS_SHOWN = 20
_PROBLEMS_KEPT = 1000


class PlacedRollout(NamedTuple):
    """A rollout and its place among those of the file, from 0."""

    place: int
    rollout: Rollout


class Intake:
    """The rollouts of a file.

    Small files are held. A larger one is read twice: once to check everything that can be known before a server is
    started, and to count groups whose rollouts do not stand together; and once while it is scored. What can be read
    only once, such as standard input, must have its groups in sequence where it is larger. A file that changes
    meanwhile is refused: rows would be lost or counted twice.

    Args:
        source: The file.
        form: How it is read.
        recipe: Whose method may read more of the rollouts than their responses.
        arrays: Arrays with a row per rollout; None for none. A file with arrays is held.

    Attributes:
        form: How it is read.
        found: What the file held, but for its rollouts: those are the labelled ones, without their texts.
        total: How many rollouts there are; None where that is not known before the end.
        left_out: How many rows cannot be used; ``found.problems`` holds the first of them.
    """

    def __init__(self, source: Path, form: Form, recipe: Recipe, arrays: Path | None) -> None:
        from trainer_client import RolloutFile

        self._source = source
        self.form = form
        self._recipe = recipe
        self._arrays = arrays
        self._told = True
        self._untold = 0
        self._stamps: Stamps | None = None
        self._scattered: Mapping[str, int] = {}
        self._unfit: RowPositions = set()
        self._ahead: Iterator[Rollout] = iter(())
        self._held: list[Rollout] | None = None
        self.found = RolloutFile()
        self.total: int | None = None
        self.left_out = 0
        self._open()

    def _open(self) -> None:
        from trainer_client import RolloutError

        try:
            self._stamps = Stamps(self._files())
            reader, rollouts = self._read()
            first_rollouts, is_whole = self._hold(rollouts)
            if is_whole:
                self._take_held(first_rollouts)
            elif self._is_lasting():
                self._refuse_stream_beside()
                self._survey(chain(first_rollouts, rollouts))
                self._unfit = reader.unfit
            else:
                self._check(first_rollouts)
                self._ahead = chain(first_rollouts, rollouts)
            # Also of what is read once: a file that is joined has been read whole.
            self._stamps.check()
        except RolloutError as error:
            if self._stamps is not None:
                self._stamps.check()
            raise self._named(error) from None
        self._report()

    def _files(self) -> list[Path]:
        """What is read from disk, and could change."""
        joined = [] if self.form.join is None else [Path(self.form.join)]
        return [path for path in (self._source, *joined) if not _is_stream(path)]

    def _named(self, error: Exception) -> UserError:
        place = "" if str(error).startswith(str(self._source)) else f"{self._source}: "
        return UserError(f"{place}{error}")

    def _read(self, unfit: RowPositions | None = None) -> tuple[RolloutReader, Iterator[Rollout]]:
        from trainer_client.rollout.files import RolloutReader

        reader = RolloutReader(self.form, self._on_problem, self.found, unfit)
        return reader, (rollout for rollout, _ in reader.read(self._source))

    def _on_problem(self, problem: LineProblem) -> None:
        if not self._told:
            self._untold += 1
            return
        self.left_out += 1
        if self.left_out <= _PROBLEMS_SHOWN:
            print_note(f"{self._source}: {problem}")
        if len(self.found.problems) < _PROBLEMS_KEPT:
            self.found.problems.append(problem)

    def _hold(self, rollouts: Iterator[Rollout]) -> tuple[list[Rollout], bool]:
        """The first rollouts, and whether they are all."""
        first_rollouts: list[Rollout] = []
        size = 0
        for rollout in rollouts:
            first_rollouts.append(rollout)
            size += _weight(rollout.response) + _weight(rollout.prompt) + _OVERHEAD
            if size > _HELD_BYTES and self._arrays is None:
                return first_rollouts, False
        return first_rollouts, True

    def _is_lasting(self) -> bool:
        """Whether the source can be read a second time."""
        return not _is_stream(self._source)

    def _refuse_stream_beside(self) -> None:
        """Refuse a joined file that cannot be read a second time, as the source will be."""
        join = self.form.join
        if join is not None and _is_stream(Path(join)):
            raise UserError(
                f"--join {join}: it can be read once only, and goes with an input over {_HELD_BYTES >> 20} MiB, "
                "which is read twice; save what is joined as a file, and give its name"
            )

    def _take_held(self, first_rollouts: list[Rollout]) -> None:
        from trainer_client.rollout.arrays import attach_arrays

        if not first_rollouts:
            if self.found.columns and self.found.problems:
                raise UserError(unfitting(self._source, self.found, self.form.columns))
            raise UserError(useless(self._source, self.found))
        if self._arrays is not None:
            attach_arrays(first_rollouts, self._arrays)
        self._check(first_rollouts)
        self._held, self.total = first_rollouts, len(first_rollouts)

    def _survey(self, rollouts: Iterable[Rollout]) -> None:
        """Check everything, and count."""
        counts: Counter[str] = Counter()
        scattered: set[str] = set()
        last, total = "", 0
        part: list[Rollout] = []
        for rollout in rollouts:
            group = rollout.group_id
            if group != last and group in counts:
                scattered.add(group)
            counts[group] += 1
            last = group
            total += 1
            part.append(rollout)
            if len(part) == _CHECKED:
                self._check(part)
                part = []
        self._check(part)
        self._scattered = {group: counts[group] for group in scattered}
        self.total = total
        self._told = False

    def _check(self, rollouts: list[Rollout]) -> None:
        """Refuse rollouts that lack what the recipe's method reads, before a judge is paid."""
        from trainer_client.result.inputs import values_of

        if rollouts:
            values_of(self._recipe.plan, rollouts)

    def _report(self) -> None:
        file, source = self.found, self._source
        if file.format != "plain" and self.form.format is None:
            print_note(f"{source}: read as {file.format}; --format plain reads rows as they are")
        if file.variants:
            print_note(f"{source}: {file.variants} rows hold the responses of other rows once more, and are left out")
        if self.left_out > _PROBLEMS_SHOWN:
            print_note(f"{source}: {self.left_out - _PROBLEMS_SHOWN} more lines cannot be used")

    def groups(self) -> Iterator[list[PlacedRollout]]:
        """The groups, each whole, in the order in which they are complete.

        Raises:
            UserError: The source can be read only once, and a group goes on after others.
        """
        from trainer_client import RolloutError

        if self._held is not None:
            yield from _gathered(self._placed(self._held))
            return
        rollouts = self._ahead if self.total is None else self._again()
        try:
            yield from self._in_sequence(self._placed(rollouts))
        except RolloutError as error:
            raise self._named(error) from None

    def _again(self) -> Iterator[Rollout]:
        """The rollouts of the second reading.

        Raises:
            UserError: They are not those of the first, or the source has changed.
        """
        from trainer_client import RolloutError, RolloutFile

        assert self._stamps is not None
        # Servers have started meanwhile; each check comes before more is paid for.
        self._stamps.check()
        counted, self.found = self.found, RolloutFile()
        _, rollouts = self._read(self._unfit)
        self.found = counted
        seen = 0
        try:
            for rollout in rollouts:
                seen += 1
                if seen % _CHECKED == 0:
                    self._stamps.check()
                yield rollout
        except (RolloutError, OSError):
            self._stamps.check()
            raise
        self._stamps.check()
        # Rows that do not fit in with others are known from the first reading, and not told again.
        if (seen, self._untold) != (self.total, self.left_out - len(self._unfit)):
            raise changed_source(str(self._source))

    def _placed(self, rollouts: Iterable[Rollout]) -> Iterator[PlacedRollout]:
        from trainer_client import Rollout

        for place, rollout in enumerate(rollouts):
            if rollout.expected is not None:
                label = Rollout(rollout.rollout_id, "", "", task=rollout.task, expected=rollout.expected)
                self.found.rollouts.append(label)
            yield PlacedRollout(place, rollout)

    def _in_sequence(self, rollouts: Iterator[PlacedRollout]) -> Iterator[list[PlacedRollout]]:
        """Groups that stand together as they end, the others when as many have come as were counted."""
        waiting: dict[str, list[PlacedRollout]] = {}
        closed: set[str] = set()
        group: list[PlacedRollout] = []
        for placed in rollouts:
            name = placed.rollout.group_id
            if name in self._scattered:
                waiting.setdefault(name, []).append(placed)
                if len(waiting[name]) == self._scattered[name]:
                    yield waiting.pop(name)
                continue
            if group and group[0].rollout.group_id != name:
                if self.total is None:
                    closed.add(group[0].rollout.group_id)
                    self._refuse_return(placed, closed)
                yield group
                group = []
            group.append(placed)
        if group:
            yield group
        if waiting:
            raise changed_source(str(self._source))

    def _refuse_return(self, placed: PlacedRollout, closed: set[str]) -> None:
        name = placed.rollout.group_id
        if name in closed:
            raise UserError(
                f"{self._source}: rollout {placed.rollout.rollout_id!r} belongs to the group {name!r}, which ended "
                "before other groups began; this source is read only once, so the rows of a group must be in sequence: "
                "sort them, or save them as a file and give its name"
            )


def _is_stream(path: Path) -> bool:
    """Whether a path can be read only once, as standard input or a pipe; what does not exist is a pattern."""
    from trainer_client.rollout.files import STDIN

    return str(path) == STDIN or (path.exists() and not path.is_file() and not path.is_dir())


def _gathered(rollouts: Iterable[PlacedRollout]) -> Iterator[list[PlacedRollout]]:
    groups: dict[str, list[PlacedRollout]] = {}
    for placed in rollouts:
        groups.setdefault(placed.rollout.group_id, []).append(placed)
    yield from groups.values()


def _weight(content: Any) -> int:
    if isinstance(content, str | bytes):
        return len(content)
    if isinstance(content, Mapping):
        return sum(map(_weight, content.values()))
    return sum(map(_weight, content)) if isinstance(content, list) else 0
