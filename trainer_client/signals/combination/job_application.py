"""A Mathematical Framework for Custom Reward Functions in Job Application Evaluation using Reinforcement Learning.

Reward functions for job application evaluation (arXiv 2511.16073), abstract and a public summary; criteria, weights,
bounds and costs are ours.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Input,
    InputError,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.columns import one_each
from trainer_client.signals.parts.decoupled import resolve_weights
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("job-application", __doc__, provenance="abstract")

_DECISIONS = Input("decisions", "N", "int", "decision of a rollout: 1 accept, 0 reject, -1 none that can be read")
_LABELS = Input("labels", "N", "int", "decision that would have been right: 1 accept, 0 reject")


def _decisions(inputs: dict[str, Any]) -> None:
    inputs["decisions"], inputs["labels"] = inputs["decisions"] % 3 - 1, inputs["labels"] % 2


@register(
    "job_application",
    paper=PAPER,
    needs="row",
    inputs=("components", _DECISIONS, _LABELS),
    formula="r = clip(sum_c w_c * s_c - penalty * cost, low, high); cost of a false accept or reject, of no decision",
    columns=one_each("weights"),
    laws=Laws(prepare=_decisions),
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
            raise OptionError(f"job_application: low {low} < high {high}, penalty {penalty} >= 0, costs in [0, 1]")
        if weights is not None and (min(weights) < 0 or sum(weights) <= 0):
            raise OptionError(f"job_application: weights {weights} must not be negative, nor all 0")
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
        """Shares of this batch, compared with all before it."""
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


def _check_codes(name: str, codes: IntArray, known: tuple[int, ...], valid: BoolArray) -> None:
    bad = np.flatnonzero(valid & ~np.isin(codes, known))
    if bad.size:
        raise InputError(f"{name}: row {bad[0]} holds {codes[bad[0]]}; {name} are {', '.join(map(str, known))}")
