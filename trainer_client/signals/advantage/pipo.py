"""PIPO: Policy Improvement Reinforcement Learning.

PIPO eq. 7 to 11, as quoted in a public note; JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py, ray_trainer.py
@7f48e231.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    Case,
    FloatArray,
    Groups,
    Input,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.standardise import standardise
from trainer_client.signals.parts.state import Tracker
from trainer_client.signals.parts.tokens import generalised_advantages, mean_logprobs

PAPER = Paper("pipo", __doc__, provenance="secondary")

_REPLAYED = Input("replayed", "N", "bool", "row of the previous step, sent again")
_PREVIOUS_ADVANTAGES = Input(
    "previous_advantages", "N", "float", "advantage that a row had when it was first trained on"
)


class _Progressive(Tracker):
    """A method that measures each step's mean reward against a window."""

    parts = ("_window",)

    def __init__(self, window: int, ddof: int) -> None:
        self._window = _Window(window)
        self._ddof = ddof

    def _measure(self, mean: float | None) -> Progress:
        """Progress of this step, which then enters the window; none for a step without a verdict."""
        if mean is None:
            return Progress(0.0, 0.0, 1.0)
        result = improvement(mean, self._window.means, ddof=self._ddof)
        self._window.add(mean)
        self._window.steps += 1
        return result


@register(
    "pipo",
    paper=PAPER,
    needs="state",
    inputs=("rewards", "groups", _REPLAYED, _PREVIOUS_ADVANTAGES),
    formula=(
        "replayed rows: A = clip(G * A_i / sum |A| * xi, -10, 10), xi = (mean r - mean of window) / sd, "
        "xi < 0 times negative; others: A = r - mean over sd"
    ),
)
class PIPO(_Progressive):
    """PIPO: the last step's rollouts are trained on once more, for or against, by whether rewards rose since.

    A batch holds the fresh rows and, ``replayed``, those of the previous step with the advantages they had. Fresh rows
    get group advantages; replayed ones are kept from the ``wait``-th step on. ``negative`` weakens the lesson of a
    step that made things worse.
    """

    kind = "pipo"

    def __init__(
        self, *, window: int = 8, wait: int = 8, negative: float = 0.1, ddof: int = 1, bound: float = 10.0
    ) -> None:
        super().__init__(window, ddof)
        self.wait, self.negative, self.bound = wait, negative, bound

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages of fresh and of replayed rows."""
        fresh, again = batch.valid & ~batch["replayed"], batch.valid & batch["replayed"]
        result = self._measure(float(batch.rewards[fresh].mean()) if fresh.any() else None)
        scale = result.improvement * (self.negative if result.improvement < 0 else 1.0)
        advantages = group_normalise(batch.rewards, batch.groups, fresh, ddof=1)
        credit = retrospective_advantages(
            batch["previous_advantages"][again], batch.groups.take(again), scale, bound=self.bound
        )
        advantages[again] = credit
        keep = ~batch["replayed"] | (self._window.steps > self.wait)
        return batch.signal(advantages=advantages, keep=keep, report={"pipo/improvement": result.improvement})


@register(
    "release/pipo",
    like="pipo",
    provenance="code",
    source="JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py, ray_trainer.py @7f48e231",
    formula="as pipo; the step's mean is in the window twice, its first copy already in xi; population sd",
)
class ReleasePIPO(PIPO):
    """PIPO as released: the window holds the present step, and a step that made things worse teaches nothing."""

    kind = "release/pipo"

    def __init__(self, *, window: int = 8, wait: int = 8, negative: float = 0.0, bound: float = 10.0) -> None:
        super().__init__(window=window, wait=wait, negative=negative, ddof=0, bound=bound)

    def _measure(self, mean: float | None) -> Progress:
        if mean is not None:
            self._window.add(mean)
        return super()._measure(mean)


@register(
    "pipo_gate",
    paper=PAPER,
    needs="state",
    inputs=("rewards|token_rewards", "lengths|mask", "values"),
    provenance="code",
    source=(
        "JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py, ray_trainer.py @7f48e231 compute_ppo_layback_coefficients"
    ),
    formula="A_t = whitened GAE * clip(xi, low, high)",
)
class PIPOGate(_Progressive):
    """PIPO with a critic: all advantages of a step are scaled by whether rewards rose; 0 at the first step."""

    kind = "pipo_gate"

    def __init__(
        self, *, window: int = 8, low: float = -2.0, high: float = 2.0, gamma: float = 1.0, lam: float = 1.0
    ) -> None:
        super().__init__(window, 1)
        self.low, self.high, self.gamma, self.lam = low, high, gamma, lam

    def __call__(self, batch: SignalBatch) -> Signal:
        """Advantages by token, and the critic's targets."""
        mask = batch.mask & batch.valid[:, None]
        per_row = batch.token_rewards.sum(1)[batch.valid]
        result = self._measure(float(per_row.mean()) if per_row.size else None)
        raw = generalised_advantages(batch.token_rewards, batch["values"], mask, gamma=self.gamma, lam=self.lam)
        gate = min(max(result.improvement, self.low), self.high)
        whitened = standardise(raw, mask, eps=1e-8, stabiliser="variance")
        return batch.signal(
            token_advantages=gate * whitened,
            returns=np.where(mask, raw + batch["values"], 0.0),
            report={"pipo_gate/gate": gate},
        )


class _Window(Tracker):
    """Mean rewards of the last ``size`` steps."""

    kind = "progress_window"

    def __init__(self, size: int) -> None:
        if size < 1:
            raise OptionError(f"window: {size} steps; at least 1 is needed")
        self.means: deque[float] = deque(maxlen=size)
        self.steps = 0

    def add(self, mean: float) -> None:
        self.means.append(mean)

    def _state(self) -> dict[str, Any]:
        return {"means": list(self.means), "steps": self.steps}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.means = deque(map(float, state["means"]), maxlen=self.means.maxlen)
        self.steps = int(state["steps"])


class Progress(NamedTuple):
    """Improvement over a window of earlier steps.

    Attributes:
        improvement: the change in units of the window's deviation.
        baseline: mean of the window; the step's own mean where the window is empty.
        deviation: of the window; 1 where it has none to speak of.
    """

    improvement: float
    baseline: float
    deviation: float


def improvement(
    current: float, history: Sequence[float], *, ddof: int = 1, divide: bool = True, floor: float = 1e-6
) -> Progress:
    """Mean reward of a step against a window of means, ``clip(current - mean, -5, 5) / deviation``.

    Args:
        current: mean reward of the step.
        history: means of the window; without any there is no progress.
        ddof: 1 is the sample deviation (the paper), 0 the population one (the release).
        divide: False leaves the change as it is.
        floor: a smaller deviation counts as 1, and so does that of a window of one.

    Source: PIPO; JacckMa/pipo_verl verl/trainer/ppo/layback_utils.py @7f48e231, paper eq. 7 to 11.
    """
    window = np.asarray(history, dtype=np.float64)
    baseline = float(window.mean()) if window.size else current
    deviation = 1.0
    if window.size > 1:
        spread = float(np.sqrt(((window - baseline) ** 2).sum() / (window.size - ddof)))
        deviation = spread if spread >= floor else 1.0
    change = min(max(current - baseline, -5.0), 5.0)
    return Progress(change / deviation if divide else change, baseline, deviation)


def retrospective_advantages(
    advantages: FloatArray, groups: Groups, progress: float, *, bound: float = 10.0, eps: float = 1e-6
) -> FloatArray:
    """``[N]`` credit of earlier rollouts for the progress since: their share of it, within ``bound``.

    The share is ``G * A_i / (sum of |A| over the group + eps)``.

    Args:
        advantages: ``[N]`` that the rollouts had.
        groups: their partition by prompt; ``G`` is a group's own size.
        progress: `Progress.improvement`.
        bound: largest size of the result.
        eps: added to the divisor.
    """
    total = groups.sum(np.abs(advantages)) + eps
    share = groups.apply(np.multiply, advantages, groups.sizes / total)
    return np.clip(share * progress, -bound, bound)


def _progress(case: Case) -> Progress:
    """As the releases measure it; a window of one has no deviation."""
    params = case.params
    result = improvement(case.inputs["current_mean"], case.inputs["history"], ddof=0, divide=False)
    deviation = 1.0 if params["history_window_size"] == 1 else result.deviation
    return Progress(result.improvement / deviation, result.baseline, deviation)


@golden("PIPO", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    result = _progress(case)
    xi = result.improvement * (1.0 if case.params["enable_variance_normalization"] else result.deviation)
    mask = case.array("response_mask") > 0
    before = mean_logprobs(case.array("advantages"), mask)
    credit = retrospective_advantages(before, Groups.of(case.inputs["group"]), xi)
    return [
        {
            "coefficients": np.where(mask, credit[:, None], 0.0),
            "xi": xi,
            "rho": result.baseline,
            "sigma": result.deviation,
        }
    ]


@golden("PIPO gate", rtol=1e-4, atol=1e-5)
def _(case: Case) -> Any:
    """The gate always divides, whatever ``enable_variance_normalization`` says."""
    xi = _progress(case).improvement
    gate = min(max(xi, case.params["ppo_gate_min"]), case.params["ppo_gate_max"])
    return [
        {"scaled": case.array("token_level_advantages") * gate * case.array("response_mask"), "phi": gate, "xi": xi}
    ]
