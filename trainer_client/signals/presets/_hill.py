"""HiLL: hints are tried, and the best one takes the place of an unsolved group."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from trainer_client.signals._arrays import AnyArray, BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._groups import Groups
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.guidance import HintTerm, best_hints, hint_rewards
from trainer_client.signals.normalise import group_normalise


class _Tried(NamedTuple):
    """The hints of a step: one entry a prompt and hint, in order of appearance."""

    of_row: IntArray
    """``[n]`` number of a valid row's hint, -1 for none."""
    first: IntArray
    """First row of the batch that was written with it."""
    prompt: IntArray
    labels: AnyArray
    rate: FloatArray
    sizes: IntArray
    reliance: FloatArray
    refused: BoolArray


@register(
    "hill",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups", "helped", "candidates"),
    optional=("refused", "reliance"),
    certainty="code",
    source="HiLL, Andree-9/HiLL verl/trainer/ppo/hinter_utils.py @195d94eb",
    formula="hint: (1 - p^n - (1-p)^n) * exp(min(D, 0) / T), D the mean over right rollouts of "
    "logp(o|q) - logp(o|q,hint)",
    papers=("hill",),
)
def hill(
    batch: SignalBatch,
    *,
    term: HintTerm = "non_degenerate",
    temperature: float = 0.3,
    refusal: float = -0.2,
    threshold: float = 0.5,
    eps: float = 1e-6,
) -> Signal:
    """HiLL: of several hints, the one that makes outcomes differ without being leant on replaces an unsolved group.

    ``helped`` rows were written with the hint that ``candidates`` names, others without. ``reliance`` of the rows, if
    given, weighs a hint down by how much its right answers need it; ``refused`` marks hints that leak the answer,
    cannot be read or are too long. A prompt's best hint (the first of equals) is adopted where it beats the rollouts
    without one: only its rows are kept, and a request of kind ``adopt`` names it. The report holds every hint's reward,
    which trains the hinter.
    """
    valid, groups = batch.taken()
    plain = ~batch["helped"][valid]
    right = batch.rewards[valid] > threshold
    tried = _tried(batch, valid, groups, right)
    number = groups.sum(plain)
    rate = groups.sum(plain & right) / np.maximum(number, 1)
    nothing = np.full(len(groups), np.nan)
    unhinted = hint_rewards(rate, number.astype(np.int64), nothing, kind=term, temperature=None).term
    scored = hint_rewards(
        tried.rate,
        tried.sizes,
        tried.reliance,
        refused=tried.refused,
        unhinted=unhinted[tried.prompt],
        kind=term,
        temperature=temperature,
        refusal=refusal,
    )
    best = best_hints(scored.rewards, tried.prompt, len(groups))
    adopted = (best >= 0) & (np.append(scored.term, 0.0)[best] > unhinted)
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = np.where(groups.spread(adopted), tried.of_row == groups.spread(best), plain)
    rewards: dict[str, dict[str, float]] = {}
    for prompt, label, reward in zip(
        tried.prompt.tolist(), tried.labels.tolist(), scored.rewards.tolist(), strict=True
    ):
        rewards.setdefault(str(groups.labels[prompt]), {})[str(label)] = reward
    return batch.signal(
        keep=keep,
        advantages=group_normalise(batch.rewards, batch.groups, batch.valid & keep, eps=eps),
        requests=[_adopt(tried, hint) for hint in best[adopted].tolist()],
        report={"hill/hint_rewards": rewards},
    )


def _tried(batch: SignalBatch, valid: BoolArray, groups: Groups, right: BoolArray) -> _Tried:
    rows = np.flatnonzero(batch["helped"][valid])
    among = np.zeros(right.size, np.bool_)
    among[rows] = True
    names = batch.ids("candidates").take(valid).take(among)
    hints = groups.take(among).cross(names)
    first = hints.first(np.arange(rows.size))
    of_row = np.full(right.size, -1)
    of_row[rows] = hints.index
    wins = hints.sum(right[rows])
    reliance = np.full(len(hints), np.nan)
    if "reliance" in batch:
        total = hints.sum(np.where(right[rows], batch["reliance"][valid][rows], 0.0))
        np.divide(total, wins, out=reliance, where=wins > 0)
    refused = hints.any(batch["refused"][valid][rows]) if "refused" in batch else np.zeros(len(hints), np.bool_)
    return _Tried(
        of_row=of_row,
        first=np.flatnonzero(valid)[rows[first]],
        prompt=groups.index[rows[first]],
        labels=names.labels[names.index[first]],
        rate=wins / np.maximum(hints.sizes, 1),
        sizes=hints.sizes,
        reliance=reliance,
        refused=refused,
    )


def _adopt(tried: _Tried, hint: int) -> Request:
    label: Any = tried.labels[hint]
    return Request(int(tried.first[hint]), "adopt", {"candidate": label.item() if hasattr(label, "item") else label})
