"""Meta-Awareness Enhances Reasoning Models: Self-Alignment Reinforcement Learning (MASA).

MASA (arXiv 2510.03259); akatigre/MASA-RL verl/utils/reward_score/meta_cog.py @fad5726e.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    Groups,
    Input,
    InputError,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("masa", __doc__, provenance="code")

_PREDICTIONS = Input(
    "predictions",
    "N",
    "rows",
    "what a row predicts of its prompt's rollouts, true where its text says so; None or false for a rollout",
    examples=(
        None,
        False,
        None,
        {},
        {"math_notion": "angles, circles", "solution_length": 4, "pass_rate": 4},
        {"math_notion": ["median"], "solution_length": "3", "pass_rate": 8},
    ),
)
_QUESTIONS = Input("questions", "N", "rows", "text of each row's prompt", examples=("find the delta",))

_PARTS = ("notion", "difficulty", "length")
_ENTRIES = ("math_notion", "solution_length", "pass_rate")
_SEARCHED = 16_384
_TRIED = 64

Predictions: TypeAlias = Sequence[Mapping[str, Any] | None]


@register(
    "masa",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "lengths|mask", _PREDICTIONS, "texts", _QUESTIONS),
    formula="meta rows: r = (notions + base ^ |mean - said / scale| + length) / 3; GRPO among each kind of row",
    laws=Laws(rewards="binary"),
)
def masa(
    batch: SignalBatch, *, pass_rate_scale: int = 8, base: float = 0.01, ddof: int = 1, eps: float = 1e-6
) -> Signal:
    """MASA: beside its rollouts a prompt has rows that predict them, rewarded by how well they do.

    ``predictions`` holds a table on such rows (an empty one if it could not be read) and None on rollouts; or true,
    where `read_prediction` finds the table in the row's text, and false on rollouts. Both kinds are normalised apart.
    ``requests`` of kind ``demonstrate`` are data for supervised training: each prompt's prediction with the best
    notions, its length and pass rate set to the measured ones. A prompt without rollouts to compare with masks its
    predictions.
    """
    return _masa(batch, pass_rate_scale, base, ddof, eps, _over_right)


@register(
    "release/masa",
    like="masa",
    source="akatigre/MASA-RL verl/utils/reward_score/meta_cog.py @fad5726e",
    laws=Laws(rewards="binary"),
)
def release_masa(batch: SignalBatch, *, base: float = 0.01, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """MASA as released: pass rates are out of 8 whatever was sampled, demonstrated lengths are too short.

    The lengths of right rollouts are summed and divided by the number of all rollouts.
    """
    return _masa(batch, 8, base, ddof, eps, _over_all)


@register(
    "masa_gate",
    paper=PAPER,
    needs="state",
    inputs=("groups", _PREDICTIONS),
    optional=("rewards", "lengths", "texts"),
    provenance="abstract",
    source="MASA (arXiv 2510.03259), abstract; the released files have no gate: rule and constants are ours",
    formula="skip a prompt predicted at 0 or at the scale; else cut generation at factor * predicted length",
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
            raise OptionError(f"masa_gate: scale {pass_rate_scale}, factor {factor} and memory {memory} make no gate")
        self.scale, self.factor, self.trust, self.memory = pass_rate_scale, factor, trust, memory
        self._hits: float | None = None

    def __call__(self, batch: SignalBatch) -> Signal:
        """Learn how good length predictions are, and give each predicted prompt its gate."""
        predictions = _predictions(batch)
        meta = _meta_rows(predictions)
        if "rewards" in batch and not bool(meta.all()):
            self._learn(batch, predictions, meta)
        requests = []
        trusted = self._hits is not None and self._hits >= self.trust
        for rows in _members(batch.groups, batch.valid & meta):
            rates, lengths = (
                [v for row in rows if (v := whole_number(predictions[row] or {}, key)) is not None]
                for key in ("pass_rate", "solution_length")
            )
            rate = float(np.median(rates)) if rates else None
            if rate is not None and (rate <= 0 or rate >= self.scale):
                requests.append(Request(rows[0], "skip", {"pass_rate": rate / self.scale}))
            elif lengths and trusted:
                limit = int(np.ceil(self.factor * float(np.median(lengths))))
                requests.append(Request(rows[0], "limit", {"max_tokens": max(limit, 1)}))
        return batch.signal(requests=requests, report={"masa_gate/length_hits": self._hits or 0.0})

    def _learn(self, batch: SignalBatch, predictions: Predictions, meta: BoolArray) -> None:
        right = batch.valid & ~meta & (batch.rewards == 1)
        hits = []
        for rows in _members(batch.groups, batch.valid):
            among = [int(batch.lengths[row]) for row in rows if right[row]]
            lengths = [whole_number(predictions[row] or {}, "solution_length") for row in rows if meta[row]]
            if among:
                hits += [min(among) < value < max(among) for value in lengths if value is not None]
        if hits:
            share = float(np.mean(hits))
            self._hits = share if self._hits is None else self.memory * self._hits + (1 - self.memory) * share

    def _state(self) -> dict[str, Any]:
        return {"hits": self._hits}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._hits = None if state["hits"] is None else float(state["hits"])


def _masa(
    batch: SignalBatch, scale: int, base: float, ddof: int, eps: float, length: Callable[[Sequence[int], int], float]
) -> Signal:
    predictions = _predictions(batch)
    meta = _meta_rows(predictions)
    rollouts = batch.valid & ~meta
    scores = _scores(batch, predictions, rollouts, scale, base)
    rewards = batch.rewards.copy()
    judged = ~meta
    for row, score in scores.items():
        rewards[row], judged[row] = score.score, True
    groups = batch.groups.cross(Groups.of(meta.astype(np.int64)))
    advantages = group_normalise(rewards, groups, batch.valid & judged, ddof=ddof, eps=eps)
    return batch.signal(
        keep=judged,
        advantages=advantages,
        rewards=rewards,
        requests=_demonstrations(batch, predictions, scores, rollouts, scale, length),
        report={
            f"masa/{part}": float(np.mean([getattr(s, part) for s in scores.values()] or [0.0])) for part in _PARTS
        },
    )


def _over_right(lengths: Sequence[int], rollouts: int) -> float:
    return sum(lengths) / len(lengths)


def _over_all(lengths: Sequence[int], rollouts: int) -> float:
    return sum(lengths) / rollouts


def _predictions(batch: SignalBatch) -> Predictions:
    """What each row predicts; None on rollouts."""
    predictions: list[Mapping[str, Any] | None] = []
    for row, prediction in enumerate(batch.objects("predictions")):
        if prediction is True and "texts" not in batch:
            raise InputError(f"predictions: row {row} is to be read of its text; give texts, or a table")
        parsed = None if prediction is False else prediction
        if prediction is True:
            parsed = read_prediction(batch.objects("texts")[row])
        if parsed is not None and not isinstance(parsed, Mapping):
            kind = type(parsed).__name__
            raise InputError(f"predictions: row {row} holds {kind}; a table, true or false is needed, or None")
        predictions.append(parsed)
    return predictions


def _meta_rows(predictions: Predictions) -> BoolArray:
    return np.array([prediction is not None for prediction in predictions], np.bool_)


def _members(groups: Groups, where: BoolArray) -> list[list[int]]:
    """Rows of each group that count, groups without any left out."""
    rows = np.flatnonzero(where)
    return [rows[members].tolist() for members in groups.take(where).members()]


def _scores(
    batch: SignalBatch, predictions: Predictions, rollouts: BoolArray, scale: int, base: float
) -> dict[int, MetaScore]:
    """Score of each valid prediction whose prompt has a valid rollout."""
    texts, questions = batch.objects("texts"), batch.objects("questions")
    scores = {}
    for rows in _members(batch.groups, batch.valid):
        rows_with_rollouts = [row for row in rows if rollouts[row]]
        if not rows_with_rollouts:
            continue
        truth = (
            [texts[row] for row in rows_with_rollouts],
            [float(batch.rewards[row]) for row in rows_with_rollouts],
            [int(batch.lengths[row]) for row in rows_with_rollouts],
        )
        for row in rows:
            prediction = predictions[row]
            if prediction is not None:
                scores[row] = meta_prediction_score(
                    prediction, questions[row], *truth, pass_rate_scale=scale, base=base
                )
    return scores


def _demonstrations(
    batch: SignalBatch,
    predictions: Predictions,
    scores_by_row: Mapping[int, MetaScore],
    rollouts: BoolArray,
    scale: int,
    length: Callable[[Sequence[int], int], float],
) -> list[Request]:
    requests, lengths = [], batch.lengths
    for rows in _members(batch.groups, batch.valid):
        predicted = [row for row in rows if row in scores_by_row]
        right = [row for row in rows if rollouts[row] and batch.rewards[row] == 1]
        if not predicted or not right:
            continue
        best = max(predicted, key=lambda row: scores_by_row[row].notion)
        rollout_rows = sum(bool(rollouts[row]) for row in rows)
        measured = {
            **(predictions[best] or {}),
            "solution_length": round(length([int(lengths[row]) for row in right], rollout_rows)),
            "pass_rate": round(scale * len(right) / rollout_rows),
        }
        requests.append(Request(best, "demonstrate", measured))
    return requests


class MetaScore(NamedTuple):
    """Score of a prediction and its parts, each from 0 to 1.

    Attributes:
        score: mean of the three parts.
        notion: share of the predicted notions that occur more in right answers than in wrong ones.
        difficulty: closeness of the predicted pass rate to the measured one.
        length: 1 if the predicted length lies strictly between those of the right answers.
    """

    score: float
    notion: float
    difficulty: float
    length: float


def meta_prediction_score(
    prediction: Mapping[str, Any],
    question: str,
    texts: Sequence[str],
    scores: Sequence[float],
    lengths: Sequence[int],
    *,
    pass_rate_scale: int = 8,
    base: float = 0.01,
) -> MetaScore:
    """Hold a prediction against the rollouts of the same prompt.

    ``prediction`` may have ``math_notion`` (a list, or a text with commas), ``solution_length`` and ``pass_rate``
    (whole numbers; the latter out of ``pass_rate_scale``). A part that is absent or of another type earns 0. A rollout
    is right at score 1 and wrong at 0.

    Args:
        prediction: what the policy said; empty for one that could not be read.
        question: text of the prompt; a notion that is in it is no prediction.
        texts: rollouts.
        scores: their rewards.
        lengths: their tokens.
        pass_rate_scale: what a pass rate of 1 is called.
        base: in (0, 1); the difficulty part is ``base ^ |mean score - pass_rate / scale|``.

    Raises:
        OptionError: ``base`` is outside (0, 1), or the scale not positive.

    Source: MASA (arXiv 2510.03259); akatigre/MASA-RL verl/utils/reward_score/meta_cog.py @fad5726e.
    """
    if not 0.0 < base < 1.0 or pass_rate_scale < 1:
        raise OptionError(f"base: {base} must lie in (0, 1), pass_rate_scale: {pass_rate_scale} be positive")
    right = [k for k, score in enumerate(scores) if score == 1]
    wrong = [k for k, score in enumerate(scores) if score == 0]
    notions = [n for n in predicted_notions(prediction) if n not in question]
    notion = difficulty = length = 0.0
    if notions:
        lead = [sum(n in texts[k] for k in right) - sum(n in texts[k] for k in wrong) for n in notions]
        notion = sum(count > 0 for count in lead) / len(lead)
    predicted_length = whole_number(prediction, "solution_length")
    if predicted_length is not None and right:
        among = [lengths[k] for k in right]
        length = float(min(among) < predicted_length < max(among))
    rate = whole_number(prediction, "pass_rate")
    if rate is not None and len(scores):
        difficulty = base ** abs(sum(scores) / len(scores) - rate / pass_rate_scale)
    return MetaScore((notion + difficulty + length) / 3, notion, difficulty, length)


def read_prediction(text: str) -> dict[str, Any]:
    """The prediction in a text: its last JSON object with a known entry, behind the reasoning; empty without one.

    The last 16,384 characters are searched.
    """
    tail = text.rpartition("</think>")[2][-_SEARCHED:]
    if "<think>" in tail:
        return {}
    decoder = json.JSONDecoder()
    for place in [match.start() for match in re.finditer(r"\{", tail)][: -_TRIED - 1 : -1]:
        try:
            value, _ = decoder.raw_decode(tail, place)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict) and any(name in value for name in _ENTRIES):
            return value
    return {}


def predicted_notions(prediction: Mapping[str, Any]) -> list[str]:
    """The predicted notions in the singular, each once; none where they cannot be read."""
    notions = prediction.get("math_notion", [])
    if isinstance(notions, str):
        notions = [part.strip().strip("[").strip("]") for part in notions.split(",")] if "," in notions else [notions]
    if not isinstance(notions, list | tuple) or not all(isinstance(part, str) for part in notions):
        return []
    return list(dict.fromkeys(map(singular, notions)))


def singular(word: str) -> str:
    """A regular English plural without its ending: identities, boxes, cosines; glass and series stay."""
    lower = word.lower()
    if lower == "series" or lower.endswith("ss") or not lower.endswith("s"):
        return word
    if lower.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if lower.endswith(("ches", "shes", "xes", "zes", "oes")) else word[:-1]


def whole_number(prediction: Mapping[str, Any], key: str) -> int | None:
    """An entry that is a whole number; None where it is absent or of another type."""
    value = prediction.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@golden("meta_prediction_reward")
def _(case: Case) -> Any:
    truth = case.inputs["rollouts"]
    score = meta_prediction_score(
        case.inputs["prediction"],
        truth["problem"],
        truth["response"],
        truth["score"],
        truth["length"],
        pass_rate_scale=case.params["pass_rate_scale"],
        base=case.params["difficulty_base"],
    )
    return {
        "score": score.score,
        "notion_score": score.notion,
        "pred_acc_score": score.difficulty,
        "length_score": score.length,
    }
