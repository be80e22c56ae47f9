"""MASA: the policy's predictions of its own rollouts, as rewards, as data and as gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals._arrays import BoolArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.shaping import MetaScore, meta_prediction_score, whole_number
from trainer_client.signals.trackers import Tracker

_READ = ("rewards", "groups", "lengths|mask", "predictions", "texts", "questions")
_FORMULA = "meta rows: r = (notions + base ^ |mean - said / scale| + length) / 3; GRPO among each kind of row"
_CODE = "akatigre/MASA-RL verl/utils/reward_score/meta_cog.py @fad5726e"
_PAPER = "MASA (arXiv 2510.03259)"


@register(
    "masa",
    room="advantage",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=f"{_PAPER}; {_CODE}",
    formula=_FORMULA,
    papers=("masa",),
)
def masa(
    batch: SignalBatch, *, pass_rate_scale: int = 8, base: float = 0.01, ddof: int = 1, eps: float = 1e-6
) -> Signal:
    """MASA: beside its rollouts a prompt has rows that predict them, rewarded by how well they do.

    ``predictions`` holds a table on such rows (an empty one if it could not be read) and None on rollouts. Both kinds
    are normalised apart. ``requests`` of kind ``demonstrate`` are data for supervised training: each prompt's
    prediction with the best notions, its length and pass rate set to the measured ones. A prompt without rollouts to
    compare with masks its predictions.
    """
    return _masa(batch, pass_rate_scale, base, ddof, eps, _over_right)


@register(
    "release/masa",
    room="advantage",
    needs="group",
    inputs=_READ,
    certainty="code",
    source=_CODE,
    formula=_FORMULA,
    papers=("masa",),
)
def release_masa(batch: SignalBatch, *, base: float = 0.01, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """MASA as released: pass rates are out of 8 whatever was sampled, demonstrated lengths are too short.

    The lengths of right rollouts are summed and divided by the number of all rollouts.
    """
    return _masa(batch, 8, base, ddof, eps, _over_all)


def _masa(
    batch: SignalBatch, scale: int, base: float, ddof: int, eps: float, length: Callable[[Sequence[int], int], float]
) -> Signal:
    meta = _meta_rows(batch)
    rollouts = batch.valid & ~meta
    found = _scores(batch, meta, rollouts, scale, base)
    rewards = batch.rewards.copy()
    judged = ~meta
    for row, score in found.items():
        rewards[row], judged[row] = score.score, True
    groups = batch.groups.cross(Groups.of(meta.astype(np.int64)))
    advantages = group_normalise(rewards, groups, batch.valid & judged, ddof=ddof, eps=eps)
    return batch.signal(
        keep=judged,
        advantages=advantages,
        rewards=rewards,
        requests=_demonstrations(batch, found, rollouts, scale, length),
        report={f"masa/{part}": float(np.mean([getattr(s, part) for s in found.values()] or [0.0])) for part in _PARTS},
    )


def _over_right(lengths: Sequence[int], rollouts: int) -> float:
    return sum(lengths) / len(lengths)


def _over_all(lengths: Sequence[int], rollouts: int) -> float:
    return sum(lengths) / rollouts


_PARTS = ("notion", "difficulty", "length")


@register(
    "masa_gate",
    room="selection",
    needs="state",
    inputs=("groups", "predictions"),
    optional=("rewards", "lengths"),
    certainty="abstract",
    source=f"{_PAPER}, abstract; the released files have no gate: rule and constants are ours",
    formula="skip a prompt predicted at 0 or at the scale; else cut generation at factor * predicted length",
    papers=("masa",),
)
class MasaGate(Tracker):
    """MASA's gates: predictions made before the rollouts decide what to generate.

    A prompt's median prediction counts. ``requests`` are of kind ``skip``, or ``limit`` with ``max_tokens`` once
    predicted lengths have been right often enough: when the batch holds right rollouts as well, the share of length
    predictions strictly within them is kept as a moving average with weight ``1 - memory`` on the new.
    """

    kind = "masa_gate"

    def __init__(
        self, *, pass_rate_scale: int = 8, factor: float = 1.5, trust: float = 0.5, memory: float = 0.9
    ) -> None:
        if pass_rate_scale < 1 or not factor > 0 or not 0 <= memory < 1:
            raise BadOption(f"masa_gate: scale {pass_rate_scale}, factor {factor} and memory {memory} make no gate")
        self.scale, self.factor, self.trust, self.memory = pass_rate_scale, factor, trust, memory
        self._hits: float | None = None

    def __call__(self, batch: SignalBatch) -> Signal:
        """Learn how good length predictions are, and give each predicted prompt its gate."""
        meta = _meta_rows(batch)
        if "rewards" in batch and not bool(meta.all()):
            self._learn(batch, meta)
        requests = []
        trusted = self._hits is not None and self._hits >= self.trust
        for rows in _members(batch.groups, batch.valid & meta):
            rates, lengths = (
                [v for row in rows if (v := whole_number(batch.objects("predictions")[row], key)) is not None]
                for key in ("pass_rate", "solution_length")
            )
            rate = float(np.median(rates)) if rates else None
            if rate is not None and (rate <= 0 or rate >= self.scale):
                requests.append(Request(rows[0], "skip", {"pass_rate": rate / self.scale}))
            elif lengths and trusted:
                limit = int(np.ceil(self.factor * float(np.median(lengths))))
                requests.append(Request(rows[0], "limit", {"max_tokens": max(limit, 1)}))
        return batch.signal(requests=requests, report={"masa_gate/length_hits": self._hits or 0.0})

    def _learn(self, batch: SignalBatch, meta: BoolArray) -> None:
        right = batch.valid & ~meta & (batch.rewards == 1)
        hits = []
        for rows in _members(batch.groups, batch.valid):
            among = [int(batch.lengths[row]) for row in rows if right[row]]
            said = [whole_number(batch.objects("predictions")[row], "solution_length") for row in rows if meta[row]]
            if among:
                hits += [min(among) < value < max(among) for value in said if value is not None]
        if hits:
            share = float(np.mean(hits))
            self._hits = share if self._hits is None else self.memory * self._hits + (1 - self.memory) * share

    def _state(self) -> dict[str, Any]:
        return {"hits": self._hits}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._hits = None if state["hits"] is None else float(state["hits"])


def _meta_rows(batch: SignalBatch) -> BoolArray:
    predictions = batch.objects("predictions")
    for row, prediction in enumerate(predictions):
        if prediction is not None and not isinstance(prediction, Mapping):
            raise BadInput(f"predictions: row {row} holds {type(prediction).__name__}; a table is needed, or None")
    return np.array([prediction is not None for prediction in predictions], np.bool_)


def _members(groups: Groups, where: BoolArray) -> list[list[int]]:
    """Rows of each group that count, groups without any left out."""
    rows = np.flatnonzero(where)
    return [rows[members].tolist() for members in groups.take(where).members()]


def _scores(batch: SignalBatch, meta: BoolArray, rollouts: BoolArray, scale: int, base: float) -> dict[int, MetaScore]:
    """Score of each valid prediction whose prompt has a valid rollout."""
    texts, questions, predictions = (batch.objects(name) for name in ("texts", "questions", "predictions"))
    found = {}
    for rows in _members(batch.groups, batch.valid):
        seen = [row for row in rows if rollouts[row]]
        if not seen:
            continue
        truth = (
            [texts[row] for row in seen],
            [float(batch.rewards[row]) for row in seen],
            [int(batch.lengths[row]) for row in seen],
        )
        for row in (row for row in rows if meta[row]):
            found[row] = meta_prediction_score(
                predictions[row], questions[row], *truth, pass_rate_scale=scale, base=base
            )
    return found


def _demonstrations(
    batch: SignalBatch,
    found: Mapping[int, MetaScore],
    rollouts: BoolArray,
    scale: int,
    length: Callable[[Sequence[int], int], float],
) -> list[Request]:
    requests, lengths = [], batch.lengths
    for rows in _members(batch.groups, batch.valid):
        predicted = [row for row in rows if row in found]
        right = [row for row in rows if rollouts[row] and batch.rewards[row] == 1]
        if not predicted or not right:
            continue
        best = max(predicted, key=lambda row: found[row].notion)
        seen = sum(bool(rollouts[row]) for row in rows)
        measured = {
            **batch.objects("predictions")[best],
            "solution_length": round(length([int(lengths[row]) for row in right], seen)),
            "pass_rate": round(scale * len(right) / seen),
        }
        requests.append(Request(best, "demonstrate", measured))
    return requests
