"""One run of ``assay score``: groups in, results out, step by step."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reward_servers.cli._console import Progress, progress
from reward_servers.cli._errors import UserError
from reward_servers.cli._intake import Intake, PlacedRollout
from reward_servers.cli._kept_state import KeptState, Labels
from reward_servers.cli._outputs import TrainingSignal, signal_fields, training_signal_of
from reward_servers.cli._resume import ResumingClient, partial_of
from reward_servers.cli._scoring import Session, score_groups
from reward_servers.cli._signal_files import Parts, RolloutFacts
from reward_servers.cli._spool import Line, Spool
from reward_servers.cli._whole_file import ROLLOUTS, STDOUT, whole_file
from reward_servers.cli._writers import Lines, Writer, writing_to
from trainer_client import AsyncRewardClient, Recipe, Rollout, ScoreTable, Summary
from trainer_client.result.rows import verdict_row


class RunOutcome(NamedTuple):
    """What a run has found.

    Attributes:
        table: The scores of all rollouts, without their evidence.
        signal: What the recipe's method made of them, all steps together.
        summary: Figures of the scores.
    """

    table: ScoreTable
    signal: TrainingSignal
    summary: Summary


class Output(NamedTuple):
    """What is written, and where.

    Attributes:
        place: A file, a folder, standard output, or nowhere.
        keep: Whether to write the fields of the rollouts too.
        evidence: Whether to write the private evidence of each verdict too.
        feedback: Whether to write what the policy may be shown of each verdict too.
        page: Whether a page about the run is made of its rows.
        resume: Whether what is scored is kept beside the results, for a run that goes on later.
    """

    place: Path | None
    keep: bool
    evidence: bool
    feedback: bool
    page: bool
    resume: bool

    def check(self) -> Path | None:
        """The place.

        Raises:
            UserError: Something is to be written, and there is no place for it.
        """
        set_options = {"--keep": self.keep, "--evidence": self.evidence and not self.page, "--feedback": self.feedback}
        option = next((name for name, is_set in set_options.items() if is_set), "")
        if self.place is None and option:
            raise UserError(f"{option} adds to the rollouts that are written, and none is written; give --out")
        return self.place


class _Step(NamedTuple):
    """A step that is scored: its table, what is made of it, and the place of each row among the rollouts."""

    table: ScoreTable
    signal: TrainingSignal
    places: NDArray[np.int64]


class Run:
    """Scores what an intake gives, and writes the results.

    The file is one step, or is cut into steps of whole groups. Of what is scored only numbers stay in memory: the lines
    wait on disk for the advantages of their step.

    Args:
        intake: The rollouts.
        recipe: What is asked.
        writing: Where results go.
        state: Where the method's state is kept.
        labels: Name of the run, and number of its first step.
        step_rollouts: Rollouts of a step, at least; None for one step.
    """

    def __init__(
        self,
        intake: Intake,
        recipe: Recipe,
        writing: Output,
        state: KeptState,
        labels: Labels,
        step_rollouts: int | None,
    ) -> None:
        place = writing.check()
        self._intake = intake
        self._recipe = recipe
        self._place = place
        self._folder = place if place is not None and place != STDOUT and place.is_dir() else None
        self._state = state
        self._labels = labels
        self._step_rollouts = step_rollouts
        self._writing = writing
        self._partial = partial_of(place, recipe, resume=writing.resume)
        self._stack = ExitStack()
        self._page: IO[str] | None = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """The rows of a page, from the beginning, with texts, evidence and run times."""
        assert self._page is not None
        self._page.seek(0)
        for line in self._page:
            yield json.loads(line)

    def score(self, session: Session) -> RunOutcome:
        """Score everything, and write it.

        Args:
            session: The servers; they are stopped before the last step is written.
        """
        with ExitStack() as stack:
            writing = self._writing
            keep = writing.keep or writing.page or self._folder is not None
            spool = stack.enter_context(Spool(self._spool_folder(), keep=keep))
            if writing.page:
                how: Any = {"encoding": "utf-8", "errors": "surrogatepass", "dir": self._spool_folder()}
                temporary = tempfile.TemporaryFile("w+", **how)  # noqa: SIM115 (the stack closes it)
                self._page = self._stack.enter_context(temporary)
            output = _Output(stack, writing, self._folder, self._page)
            steps, seconds = asyncio.run(self._score(session, spool, output))
            output.write(steps[-1], spool)
            output.finish()
        self._state.save()
        if self._partial is not None:
            # The results are in their place.
            self._partial.close(remove=True)
        table = steps[0].table if len(steps) == 1 else ScoreTable.concat([step.table for step in steps])
        signal = TrainingSignal.joined([step.signal for step in steps], [len(step.table) for step in steps])
        return RunOutcome(table, signal, replace(table.summary(), seconds=seconds))

    def _spool_folder(self) -> Path | None:
        """Beside the results: the usual place for temporary files may be memory."""
        if self._place is None or self._place == STDOUT:
            return None
        target = Path(os.path.realpath(self._place))
        if self._folder is not None:
            return target
        return target.parent if target.is_file() or not target.exists() else None

    async def _score(self, session: Session, spool: Spool, output: _Output) -> tuple[list[_Step], float]:
        steps: list[_Step] = []
        async with session:
            began = time.monotonic()
            client = await session.client(self._recipe)
            self._state.load(client)
            scorer: AsyncRewardClient | ResumingClient = client
            if self._partial is not None:
                scorer = await session.run(ResumingClient.of(client, self._partial))
            groups = self._intake.groups()
            with progress(self._intake.total, "scoring") as advance:
                while (first := next(groups, None)) is not None:
                    if steps:
                        output.write(steps[-1], spool)
                        spool.clear()
                    all_groups = chain([first], groups)
                    labels = self._labels._replace(step=self._labels.step + len(steps))
                    work = self._score_step(
                        scorer, _first_groups(all_groups, self._step_rollouts), spool, advance, labels
                    )
                    steps.append(await session.run(work))
            return steps, time.monotonic() - began

    async def _score_step(
        self,
        client: AsyncRewardClient | ResumingClient,
        groups: Iterator[list[PlacedRollout]],
        spool: Spool,
        advance: Progress,
        labels: Labels,
    ) -> _Step:
        waiting: dict[int, int] = {}  # by identity: a file that changes while it is read may repeat an id
        windows: dict[int, NDArray[np.int64]] = {}

        def rollouts() -> Iterator[list[Rollout]]:
            for group in groups:
                waiting.update({id(placed.rollout): placed.place for placed in group})
                yield [placed.rollout for placed in group]

        def done(place: int, window: Sequence[Rollout], table: ScoreTable) -> None:
            places = [waiting.pop(id(rollout)) for rollout in window]
            windows[place] = np.array(places, np.int64)
            if self._place is not None or self._writing.page:
                self._spool_window(spool, places, window, table)
            table.shed()

        table = await score_groups(client, rollouts(), advance, labels, done)
        places = np.concatenate([windows[number] for number in sorted(windows)])
        return _Step(table, training_signal_of(table), places)

    def _spool_window(self, spool: Spool, places: Sequence[int], window: Sequence[Rollout], table: ScoreTable) -> None:
        seconds, valid = table.run_seconds, table.valid
        for row, (place, rollout) in enumerate(zip(places, window, strict=True)):
            showing = self._writing.evidence or self._writing.page
            telling = self._writing.feedback or self._folder is not None
            line = verdict_row(rollout, table, row, evidence=showing, feedback=telling)
            text, details = line.pop("feedback", None), None
            if self._writing.page:
                times = {name: float(seconds[row, at]) for at, name in enumerate(table.columns) if valid[row, at]}
                details = {"evidence": line["evidence"], "run_seconds": times}
            if not self._writing.evidence or not line["evidence"]:
                line.pop("evidence", None)
            if self._writing.feedback and text:
                line["feedback"] = text
            spool.add(place, line, rollout, details, text if self._folder is not None else None)


def _first_groups(groups: Iterator[list[PlacedRollout]], rollouts: int | None) -> Iterator[list[PlacedRollout]]:
    """Groups until that many rollouts are in them."""
    count = 0
    for group in groups:
        yield group
        count += len(group)
        if rollouts is not None and count >= rollouts:
            return


class _Output:
    """What is written, opened when there is something."""

    def __init__(self, stack: ExitStack, writing: Output, folder: Path | None, page: IO[str] | None) -> None:
        self._stack = stack
        self._place = writing.place
        self._keep = writing.keep
        self._folder = folder
        self._writer: Writer | None = None
        self._page = None if page is None else Lines(page)
        self._parts = Parts(stack, folder) if folder is not None else None

    def write(self, step: _Step, spool: Spool) -> None:
        """Write the lines of a step, in the order of the input."""
        if self._place is None and self._page is None:
            return
        if self._writer is None and self._place is not None:
            self._writer = self._stack.enter_context(_opened(self._place, self._folder, step.table))
        for row in np.argsort(step.places, kind="stable").tolist():
            line, signal = spool.read(step.places[row]), signal_fields(step.signal, row)
            if self._page is not None:
                self._page.write(line, signal)
            if self._writer is not None:
                self._writer.write(Line(line.scored, line.kept if self._keep else ""), signal)
        if self._parts is not None:

            def fields(row: int) -> Mapping[str, Any]:
                scored_row: dict[str, Any] = json.loads(spool.read(step.places[row]).kept)
                return scored_row

            def feedback(row: int) -> Mapping[str, Any]:
                feedback: dict[str, Any] = json.loads(spool.read(step.places[row]).told or "{}")
                return feedback

            self._parts.write(step.signal.made, step.table, RolloutFacts(fields, feedback))

    def finish(self) -> None:
        """Say that all steps are written."""
        if self._parts is not None:
            self._parts.finish()


@contextmanager
def _opened(place: Path, folder: Path | None, table: ScoreTable) -> Iterator[Writer]:
    aspects = [f"{name}.{aspect}" for name in table.columns for aspect in table.aspects(name)]
    if place == STDOUT:
        sys.stdout.flush()
        with writing_to(sys.stdout.buffer, Path(ROLLOUTS), table.columns, aspects) as writer:
            yield writer
        return
    path = place if folder is None else folder / ROLLOUTS
    with whole_file(path, binary=True) as file, writing_to(file, path, table.columns, aspects) as writer:
        yield writer
