"""A record of a training run: the scored rollouts of each step, written in the background and bounded.

A record must not change what a trainer does. A step is written when the next one comes, or at the end: by then the
trainer has computed its advantages or never will, and a method that remembers earlier steps is not asked twice. Where
the disk is slower than the trainer, steps are left out and counted; an error of the disk ends the record and not the
training.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from trainer_client.recipe.record import Record
from trainer_client.result.batch import Labels
from trainer_client.result.rows import draw_of, plain, rollout_fields, verdict_row
from trainer_client.result.table import IncompleteBatchError, ScoreTable
from trainer_client.rollout.types import Rollout

STEPS = "steps.jsonl"
_WAITING, _FEW = 2, 4096
_PATIENCE = 30.0


Take: TypeAlias = Callable[[Sequence[Rollout], ScoreTable, Labels], None]
"""Takes rollouts that were scored, their scores, and what the batch was labelled with."""


class ScoredBatch(NamedTuple):
    """The rollouts of one call and their table."""

    rollouts: Sequence[Rollout]
    table: ScoreTable
    labels: Labels


class Recorder:
    """Writes scored rollouts into a folder.

    Attributes:
        dropped: batches that were left out because the disk was slower than the trainer.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._last: ScoredBatch | None = None
        self._forget()

    def _forget(self) -> None:
        self.dropped = 0
        self._queue: queue.SimpleQueue[ScoredBatch | None] = queue.SimpleQueue()
        self._held = 0
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def take(self, rollouts: Sequence[Rollout], table: ScoreTable, labels: Labels) -> None:
        """Keep what was scored; the batch before it is written meanwhile."""
        with self._lock:
            if self._process != os.getpid():
                # A forked process has no writer thread, and the parent writes its own queue.
                self._forget()
                self._last = None
            last, self._last = self._last, ScoredBatch(rollouts, table, labels)
            if last is not None:
                self._hand_over(last)

    def _hand_over(self, scored: ScoredBatch) -> None:
        if self._thread is None:
            writer = _Writer(self._record)
            self._thread = threading.Thread(
                target=writer.run, args=(self._queue, weakref.ref(self)), name="assay-record", daemon=True
            )
            self._thread.start()
        # Groups of a stream are many and small, batches few and large: what waits is bounded for both.
        if self._queue.qsize() >= _WAITING and self._held + len(scored.rollouts) > _FEW:
            self.dropped += 1
            return
        self._held += len(scored.rollouts)
        self._queue.put(scored)

    def written(self, rollouts: int) -> None:
        """The writer is done with some rollouts that waited."""
        with self._lock:
            self._held = max(0, self._held - rollouts)

    def close(self) -> None:
        """Write the rest of the queue, for a bounded time."""
        with self._lock:
            if self._process != os.getpid():
                return
            last, self._last = self._last, None
            if last is not None:
                self._hand_over(last)
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join(_PATIENCE)


class _Writer:
    """Writes batches into a folder until it holds as much as it may."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._folder = Path(record.folder)
        self._room = 0
        self._groups: dict[tuple[str, int], int] = {}

    def run(self, waiting: queue.SimpleQueue[ScoredBatch | None], owner: weakref.ref[Recorder]) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            used_bytes = sum(file.stat().st_size for file in self._folder.glob("*.jsonl"))
            self._room = self._record.max_bytes - used_bytes
            while (scored := waiting.get()) is not None:
                recorder = owner()
                self._write(scored, recorder.dropped if recorder is not None else 0)
                if recorder is not None:
                    recorder.written(len(scored.rollouts))
                del recorder
        except OSError as error:
            warnings.warn(f"[record] ends here: {self._folder}: {error}", RuntimeWarning, stacklevel=1)

    def _write(self, scored: ScoredBatch, dropped: int) -> None:
        labels, table = scored.labels, scored.table
        rows = self._chosen(scored)
        lines = [json.dumps(self._row(scored, row), ensure_ascii=True) + "\n" for row in rows]
        size = sum(map(len, lines))
        full = size > self._room
        about = {
            "run": labels.run,
            "step": labels.step,
            "seed": labels.seed,
            "time": time.time(),
            "recipe": table.recipe.name,
            "recipe_digest": table.recipe.digest,
            "versions": {
                name: [f"{v.name}@{v.version} {v.digest}" for v in versions]
                for name, versions in zip(table.columns, table.versions, strict=True)
            },
            "rollouts": len(table),
            "written": 0 if full else len(rows),
            "left_out": "the record has its max_bytes" if full else "",
            "dropped_before": dropped,
        }
        if not full:
            self._room -= size
            with (self._folder / file_of(labels.step)).open("a", encoding="ascii") as file:
                file.writelines(lines)
        with (self._folder / STEPS).open("a", encoding="ascii") as file:
            file.write(json.dumps(about) + "\n")

    def _chosen(self, scored: ScoredBatch) -> list[int]:
        """Rows of whole groups, as many as a step may have: those with the lowest hash of their ids."""
        groups: dict[str, list[int]] = {}
        for row, group_id in enumerate(scored.table.group_ids):
            groups.setdefault(group_id, []).append(row)
        key = (scored.labels.run, scored.labels.step)
        left = self._record.rollouts - self._groups.get(key, 0)
        chosen: list[int] = []
        for group_id in sorted(groups, key=draw_of):
            if len(chosen) + len(groups[group_id]) > left:
                break
            chosen += groups[group_id]
        self._groups = {key: self._groups.get(key, 0) + len(chosen)}
        return sorted(chosen)

    def _row(self, scored: ScoredBatch, row: int) -> dict[str, Any]:
        table, rollout = scored.table, scored.rollouts[row]
        line = verdict_row(rollout, table, row, evidence=self._record.evidence)
        line |= _signal(table, row)
        line["run_seconds"] = {
            name: float(table.run_seconds[row, at]) for at, name in enumerate(table.columns) if table.valid[row, at]
        }
        line |= {"run": scored.labels.run, "step": scored.labels.step, "seed": scored.labels.seed}
        line["rollout"] = rollout_fields(rollout)
        fields: dict[str, Any] = plain(line)
        return fields


def _signal(table: ScoreTable, row: int) -> Mapping[str, Any]:
    """Reward and advantage of a row, if the trainer has computed them; nothing is computed for the record."""
    try:
        reward = float(table.rewards[row])
    except IncompleteBatchError:
        return {"reward": None, "advantage": None}
    signal = table.__dict__.get("signal")
    advantages = None if signal is None else signal.advantages
    is_kept = True if signal is None else bool(signal.keep[row])
    masked = not table.mask[row]
    return {
        "reward": None if masked else reward,
        "advantage": None if masked or advantages is None else float(advantages[row]),
        "keep": is_kept,
    }


def file_of(step: int) -> str:
    """Name of the file of a step."""
    return f"step-{step:08}.jsonl"
