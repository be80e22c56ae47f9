"""Rewards from several criteria: rubrics, preference heads, a decision under a bounded penalty."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from trainer_client.signals._arrays import BoolArray, FloatArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import BadInput, BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.combination import Term, combine, decoupled_normalise, resolve_weights
from trainer_client.signals.combination import rubric_reward as share_of_rubric
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.trackers import Tracker


@register(
    "rubric_reward",
    room="combination",
    needs="row",
    inputs=("components",),
    optional=("criterion_weights",),
    certainty="abstract",
    source="RGR-GRPO (arXiv 2511.12344), abstract and a reading note; normalisation and pitfalls are ours",
    formula="r = sum_c w_c * v_c / sum_c max(w_c, 0) over the criteria with a verdict; held in [0, 1] with pitfalls",
    papers=("rgr-grpo",),
)
def rubric_reward(batch: SignalBatch) -> Signal:
    """RGR-GRPO's reward: the weighted share of a rubric's criteria that an answer meets.

    ``components`` are a judge's verdicts by criterion (0 to 1), ``criterion_weights`` their weights in the row's own
    rubric, 1 each if the batch carries none. A missing verdict (``components_valid``) leaves its criterion out, and
    the share of such rows is reported; a row without any verdict is masked. Reported as well: how often each
    criterion is met.
    """
    verdicts, given = batch["components"], batch.components_given
    weights = batch["criterion_weights"] if "criterion_weights" in batch else np.ones(verdicts.shape)
    rows = batch.valid
    rewards, judged = share_of_rubric(verdicts[rows], weights[rows], given[rows])
    asked = (weights != 0) & rows[:, None]
    shown = asked & given
    hits = np.where(shown, verdicts, 0.0).sum(0) / np.maximum(shown.sum(0), 1)
    partial = (asked & ~given).any(1)[rows]
    keep = ~rows
    keep[rows] = judged
    return batch.signal(
        keep=keep,
        rewards=batch.scatter(np.where(judged, rewards, 0.0)),
        report={
            "rubric/partly_judged": float(partial.mean()) if partial.size else 0.0,
            "rubric/hit_rates": hits.tolist(),
        },
    )


@register(
    "multi_objective_grpo",
    room="advantage",
    needs="group",
    inputs=("components", "groups"),
    certainty="abstract",
    source="Multi-objective GRPO (arXiv 2503.21819), abstract and a public summary; weights and ranges are ours",
    formula="r = sum_k w_k * c_k, then GRPO; or each c_k through GRPO, then the weighted sum",
    papers=("multi-objective-grpo",),
)
def multi_objective_grpo(
    batch: SignalBatch,
    *,
    weights: tuple[float, ...] | None = None,
    order: Literal["sum_first", "normalise_first"] = "sum_first",
    low: float | None = None,
    high: float | None = None,
    means: tuple[float, ...] | None = None,
    deviations: tuple[float, ...] | None = None,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """Multi-objective GRPO: the heads of one preference model, summed and normalised by group.

    Heads (politeness, meaningfulness, actionability, safety) weigh ``1 / K`` each unless given, are held within the
    range of their labels (``low``, ``high``) and standardised with frozen ``means`` and ``deviations`` where these are
    given. Summed first, a head with a wide range drowns the others; ``normalise_first`` gives each the same say. A
    missing head moves its row neither up nor down.
    """
    components, given = batch["components"], batch.components_given
    width = components.shape[1]
    factors = resolve_weights(weights, width) if weights else np.full(width, 1.0 / max(width, 1))
    if low is not None or high is not None:
        components = np.clip(components, low, high)
    components = components - _columns("means", means, width, 0.0)
    components = components / _columns("deviations", deviations, width, 1.0)
    if order == "normalise_first":
        scored = given.any(1)
        advantages = decoupled_normalise(components, batch.groups, given, weights=factors.tolist(), ddof=ddof, eps=eps)
        return batch.signal(keep=scored | ~batch.valid, advantages=advantages)
    terms = [Term(f"head {k}", float(w), required=False) for k, w in enumerate(factors)]
    combined = combine(components, given, terms, groups=batch.groups, optional="neutral", max_missing=1.0)
    live = combined.valid
    rewards = np.where(live, combined.rewards, 0.0)
    advantages = group_normalise(rewards, batch.groups, live, ddof=ddof, eps=eps)
    return batch.signal(keep=live | ~batch.valid, advantages=advantages, rewards=rewards)


@register(
    "job_application",
    room="combination",
    needs="row",
    inputs=("components", "decisions", "labels"),
    certainty="abstract",
    source="Reward functions for job application evaluation (arXiv 2511.16073), abstract and a public summary; "
    "criteria, weights, bounds and costs are ours",
    formula="r = clip(sum_c w_c * s_c - penalty * cost, low, high); cost of a false accept or reject, of no decision",
    papers=("job-application",),
)
class JobApplication(Tracker):
    """A decision rewarded by criteria, with a penalty for wrong ones that cannot outweigh a criterion.

    A large penalty is hacked into always deciding the same way, so a warning is given when ``penalty`` exceeds the
    smallest weight, and ``job_application/drift`` is reported when the share of accepted rows leaves the running share
    by more than ``drift``. Weights add up to 1, over the criteria present; a decision that cannot be read earns 0 on
    all criteria and costs 1. The running share is this process's own.
    """

    kind = "job_application"

    def __init__(
        self,
        *,
        weights: tuple[float, ...] | None = None,
        penalty: float = 0.1,
        false_accept: float = 1.0,
        false_reject: float = 1.0,
        low: float = -0.1,
        high: float = 1.0,
        drift: float = 0.25,
    ) -> None:
        if not low < high or penalty < 0 or not (0 <= false_accept <= 1 and 0 <= false_reject <= 1):
            raise BadOption(f"job_application: low {low} < high {high}, penalty {penalty} >= 0, costs in [0, 1]")
        if weights is not None and (min(weights) < 0 or sum(weights) <= 0):
            raise BadOption(f"job_application: weights {weights} must not be negative, nor all 0")
        self.weights, self.penalty, self.low, self.high, self.drift = weights, penalty, low, high, drift
        self.false_accept, self.false_reject = false_accept, false_reject
        self._accepted, self._seen = 0, 0

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards, and the shares of each decision."""
        components, given = batch["components"], batch.components_given
        decisions, labels = batch["decisions"], batch["labels"]
        _check_codes("decisions", decisions, (-1, 0, 1), batch.valid)
        _check_codes("labels", labels, (0, 1), batch.valid)
        factors = resolve_weights(self.weights, components.shape[1])
        self._warn(factors / max(float(factors.sum()), 1e-300))
        present = np.where(given, factors, 0.0)
        reach = present.sum(1)
        merit = (present * components).sum(1) / np.where(reach > 0, reach, 1.0)
        unread = decisions < 0
        cost = np.select(
            [unread, (decisions == 1) & (labels == 0), (decisions == 0) & (labels == 1)],
            [1.0, self.false_accept, self.false_reject],
            0.0,
        )
        rewards = np.clip(np.where(unread, 0.0, merit) - self.penalty * cost, self.low, self.high)
        judged = unread | (reach > 0)
        return batch.signal(
            keep=judged | ~batch.valid,
            rewards=np.where(judged, rewards, 0.0),
            report=self._watch(decisions[batch.valid]),
        )

    def _warn(self, shares: FloatArray) -> None:
        used = shares[shares > 0]
        if used.size and self.penalty > used.min() + 1e-12:
            warnings.warn(
                f"job_application: a penalty of {self.penalty} outweighs a criterion of weight {used.min():.3g}; "
                "policies learn to always decide the same way",
                stacklevel=3,
            )

    def _watch(self, decisions: IntArray) -> dict[str, Any]:
        """Shares of this batch, held against all before it."""
        number, accepted = decisions.size, int((decisions == 1).sum())
        share = accepted / max(number, 1)
        before = self._accepted / self._seen if self._seen else share
        self._accepted, self._seen = self._accepted + accepted, self._seen + number
        return {
            "job_application/accepted": share,
            "job_application/rejected": float((decisions == 0).sum() / max(number, 1)),
            "job_application/unreadable": float((decisions < 0).sum() / max(number, 1)),
            "job_application/drift": bool(number) and abs(share - before) > self.drift,
        }

    def _state(self) -> dict[str, Any]:
        return {"accepted": self._accepted, "seen": self._seen}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._accepted, self._seen = int(state["accepted"]), int(state["seen"])


def _columns(name: str, values: Sequence[float] | None, width: int, default: float) -> FloatArray:
    array = np.full(width, default) if values is None else np.asarray(values, dtype=np.float64)
    if array.shape != (width,) or (name == "deviations" and bool((array <= 0).any())):
        raise BadOption(f"{name}: one for each of {width} components is needed, deviations above 0; {values} given")
    return array


def _check_codes(name: str, codes: IntArray, known: tuple[int, ...], valid: BoolArray) -> None:
    bad = np.flatnonzero(valid & ~np.isin(codes, known))
    if bad.size:
        raise BadInput(f"{name}: row {bad[0]} holds {codes[bad[0]]}; {name} are {', '.join(map(str, known))}")
