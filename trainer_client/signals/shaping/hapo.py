"""HAPO: Training Language Models to Reason Concisely via History-Aware Policy Optimization.

HCY123902/HAPO utils.py, grpo_trainer.py @c91ae3b6.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    method,
    register,
)
from trainer_client.signals.parts.state import Tracker, saved_ids

PAPER = Paper("hapo", __doc__, provenance="code")


_REPEATED = Input("repeated", "N", "float", "share of an answer's tokens within an n-gram that stood before")

HistoryShape = Literal["cosine", "linear"]

LengthStatistic = Literal["min", "mean"]


@register(
    "hapo",
    paper=PAPER,
    needs="state",
    inputs=("correct", "groups", "lengths|mask"),
    optional=("token_lists", _REPEATED),
    formula=(
        "r = correct + weight * max(-0.7, cos(pi/2 * len / h)) if right, min(0, cos) if wrong; h the "
        "shortest right answer of earlier steps"
    ),
    laws=Laws(options={"repetition": -1.0}, inputs=("token_lists",)),
)
class HAPO(Tracker):
    """HAPO: a right answer is worth more when it is shorter than the right answers the prompt has had so far.

    Groups are prompts over the whole run: their ids must not change between epochs. All rows of a step are held
    against the lengths known before it. With ``repetition`` below 0, repeated n-grams cost as well: ``repeated`` says
    of what share of an answer, or ``token_lists`` holds its tokens. A weight of at most 1 keeps every right answer
    above every wrong one.
    """

    kind = "hapo"
    parts = ("history",)
    _repeat = False

    def __init__(
        self,
        *,
        weight: float = 1.0,
        shape: HistoryShape = "cosine",
        statistic: LengthStatistic = "min",
        tolerance: float = 0.1,
        repetition: float = 0.0,
        ngram: int = 3,
    ) -> None:
        if not 0.0 <= weight <= 1.0:
            raise OptionError(f"hapo: weight = {weight} must lie in [0, 1], or wrong answers could pass right ones")
        self.weight, self.tolerance = weight, tolerance
        self.shape: HistoryShape = shape
        self.repetition, self.ngram = repetition, ngram
        self.history = LengthHistory(statistic=statistic)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards by the lengths known so far, which then take in the step."""
        valid, groups = batch.taken()
        correct, lengths = batch["correct"][valid], batch.lengths[valid].astype(np.float64)
        past = groups.spread(self.history.lengths(groups.labels.tolist()))
        short = history_length_reward(correct, lengths, past, shape=self.shape, tolerance=self.tolerance)
        rewards = correct + self.weight * short
        if self.repetition < 0:
            rewards = rewards + self._penalties(batch, valid)
        self.history.update(groups, correct, lengths, repeat=self._repeat)
        known = float(np.isfinite(past).mean()) if past.size else 0.0
        return batch.signal(rewards=batch.scatter(rewards), report={"hapo/known": known})

    def _penalties(self, batch: SignalBatch, valid: BoolArray) -> FloatArray:
        """What repeated n-grams cost each valid row."""
        if "repeated" in batch:
            return self.repetition * batch["repeated"][valid]
        lists = batch.objects("token_lists")
        rows = np.flatnonzero(valid).tolist()
        return np.array([repetition_penalty(lists[row], ngram=self.ngram, penalty=self.repetition) for row in rows])


@register(
    "release/hapo",
    like="hapo",
    formula="as hapo; a mean length counts each right answer once for every row of its prompt",
    laws=Laws(options={"statistic": "mean"}),
)
class ReleaseHAPO(HAPO):
    """HAPO as released, whose loop over rows takes a step's right answers in several times (``statistic="mean"``)."""

    kind = "release/hapo"
    _repeat = True


def history_length_reward(
    correct: BoolArray,
    lengths: FloatArray,
    history: FloatArray,
    *,
    shape: HistoryShape = "cosine",
    tolerance: float = 0.1,
) -> FloatArray:
    """``[N]`` in [-1, 1]: above 0 for a right answer shorter than the prompt's history, below for a longer one.

    A right answer loses at most 0.7 and a wrong one gains nothing, so that with a weight of at most 1 every right
    answer stays above every wrong one.

    Args:
        correct: ``[N]``.
        lengths: ``[N]``.
        history: ``[N]`` length to compare with; NaN or at most 0 for none, which gives 0.
        shape: ``cosine``, ``cos(pi / 2 * length / history)`` and -1 from twice the history on; or ``linear`` with a
            band above the history that costs nothing.
        tolerance: width of that band, as a share of the history.

    Raises:
        OptionError: an unknown shape.

    Source: HAPO, HCY123902/HAPO utils.py @c91ae3b6.
    """
    known = np.isfinite(history) & (np.nan_to_num(history) > 0)
    past = np.where(known, history, 1.0)
    if shape == "cosine":
        value = np.where(lengths < 2 * past, np.cos(lengths / past * (np.pi / 2)), -1.0)
        reward = np.where(correct, np.maximum(value, -0.7), np.minimum(value, 0.0))
    elif shape == "linear":
        excess = (lengths - (1 + tolerance) * past) / past
        over = np.where(lengths < (1 + tolerance) * past, 0.0, -excess)
        short = np.where(lengths < past, 1.0 - lengths / past, np.maximum(over, -0.7))
        reward = np.where(correct, short, np.maximum(over, -1.0))
    else:
        raise OptionError(f"shape: {shape!r} is neither 'cosine' nor 'linear'")
    return np.where(known, reward, 0.0)


def repetition_penalty(
    tokens: Sequence[Hashable], *, ngram: int = 3, penalty: float = -1.0, first_only: bool = False
) -> float:
    """Mean over tokens of a penalty on each token within an n-gram that occurred before.

    Args:
        tokens: of one answer.
        ngram: length of the n-grams.
        penalty: of a token, at most 0.
        first_only: of repeats that overlap only the first is punished.

    Raises:
        OptionError: ``penalty`` is positive or ``ngram`` below 1.

    Source: HAPO, HCY123902/HAPO utils.py @c91ae3b6, after E. Yeo et al., "Demystifying Long Chain-of-Thought".
    """
    if penalty > 0 or ngram < 1:
        raise OptionError(f"penalty: {penalty} must be at most 0, and ngram: {ngram} at least 1")
    seen: set[tuple[Hashable, ...]] = set()
    hit = np.zeros(len(tokens), np.bool_)
    covered = -1
    for start in range(len(tokens) - ngram + 1):
        gram = tuple(tokens[start : start + ngram])
        if gram in seen:
            if not first_only or start > covered:
                hit[start : start + ngram] = True
            covered = start + ngram - 1
        seen.add(gram)
    return penalty * float(hit.mean()) if len(tokens) else 0.0


class LengthHistory(Tracker):
    """Shortest, or mean, length of the right answers to each prompt so far.

    Args:
        statistic: what is kept.
    """

    kind = "length_history"

    def __init__(self, *, statistic: LengthStatistic = "min") -> None:
        if statistic not in ("min", "mean"):
            raise OptionError(f"statistic: {statistic!r} is neither 'min' nor 'mean'")
        self.statistic: LengthStatistic = statistic
        self._known: dict[Hashable, tuple[float, int]] = {}

    def lengths(self, prompts: Sequence[Hashable]) -> FloatArray:
        """``[Q]`` the statistic of each prompt; NaN where no right answer is known."""
        return np.array([self._known.get(prompt, (np.nan, 0))[0] for prompt in prompts], dtype=np.float64)

    def counts(self, prompts: Sequence[Hashable]) -> IntArray:
        """``[Q]`` right answers that the statistic rests on."""
        return np.array([self._known.get(prompt, (np.nan, 0))[1] for prompt in prompts], dtype=np.int64)

    def update(self, groups: Groups, correct: BoolArray, lengths: FloatArray, *, repeat: bool = False) -> None:
        """Take in a step, once all of it has been scored against the old lengths.

        Args:
            groups: partition of the rows by prompt.
            correct: ``[N]``.
            lengths: ``[N]``.
            repeat: count each right answer once for every row of its prompt, as a release does.
        """
        number = groups.sum(correct).astype(np.int64)
        total = groups.sum(np.where(correct, lengths, 0.0))
        shortest = groups.min(np.where(correct, lengths, np.inf))
        times = groups.sizes if repeat else np.ones(len(groups), np.int64)
        labels = saved_ids(groups.labels.tolist())
        for q in np.flatnonzero(number).tolist():
            prompt, n = labels[q], int(number[q] * times[q])
            old, count = self._known.get(prompt, (np.nan, 0))
            if self.statistic == "min":
                new = float(shortest[q]) if count == 0 else min(old, float(shortest[q]))
            else:
                new = ((old * count if count else 0.0) + float(total[q] * times[q])) / (count + n)
            self._known[prompt] = (new, count + n)

    def _state(self) -> dict[str, Any]:
        return {"known": [[prompt, length, count] for prompt, (length, count) in self._known.items()]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._known = {prompt: (float(length), int(count)) for prompt, length, count in state["known"]}


@golden("HAPO")
def _(case: Case) -> Any:
    """One answer; the function's name says whether by the cosine or by the line."""
    past = float(case.inputs["history_len"])
    value = history_length_reward(
        np.array([case.inputs["is_correct"]]),
        np.array([float(case.inputs["seq_len"])]),
        np.array([past if past < case.params["MAX_LEN"] else np.nan]),
        shape="linear" if case.function.endswith("_linear") else "cosine",
        tolerance=case.params["tolerance_ratio"],
    )
    return case.params["w_lr"] * value


@golden("HAPO repetition")
def _(case: Case) -> Any:
    params = case.params
    return [
        repetition_penalty(
            case.inputs["tokens"],
            ngram=params["ngram_size"],
            penalty=params["max_penalty"],
            first_only=params["only_start"],
        )
    ]


@golden("HAPO history", rtol=1e-5, atol=1e-5)
def _(case: Case) -> Any:
    params, unset = case.params, case.params["MAX_LEN"]
    run = method("release/hapo", weight=params["w_lr"], shape=params["type_lr"], statistic=params["mode"])
    results = []
    for step, recorded in zip(case.inputs["steps"], case.output, strict=True):
        signal = run(SignalBatch(None, step["prompt"], correct=step["correct"], lengths=step["length"]))
        prompts = list(range(len(recorded["history"])))
        known = {prompt: (length, count) for prompt, length, count in run.state_dict()["state"]["history"]["known"]}
        results.append(
            {
                "rewards": signal.rewards,
                "history": [known.get(prompt, (unset, 0))[0] for prompt in prompts],
                "count": [known.get(p, (0, 0))[1] if params["mode"] == "mean" else 0 for p in prompts],
            }
        )
    return results
