"""Bayesian Orchestration of Multi-LLM Agents for Cost-Aware Sequential Decision-Making.

Bayesian Orchestration of Multi-LLM Agents, abstract; median over judges and the trigger are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Input,
    InputError,
    IntArray,
    Paper,
    Request,
    Signal,
    SignalBatch,
    register,
)

PAPER = Paper("bayesian-orchestration", __doc__, provenance="abstract")

_STATE_LIKELIHOODS = Input(
    "state_likelihoods", "NJC", "float", "likelihood of what was seen in each state, by each judge", beside="judged"
)
_JUDGED = Input("judged", "NJC", "bool", "which judges gave a likelihood")

_LEAST = 1e-6


@register(
    "bayesian_panel",
    paper=PAPER,
    needs="row",
    inputs=(_STATE_LIKELIHOODS,),
    optional=(_JUDGED,),
    formula="p(s | x) ~ p(s) * exp(median_m log l_m); a = argmin sum p C; ask if saving > price or judges disagree",
)
def bayesian_panel(
    batch: SignalBatch,
    *,
    prior: Sequence[float] = (),
    costs: Sequence[Sequence[float]] = (),
    outcomes: Sequence[Sequence[float]] = (),
    price: float = 0.0,
    disagreement: float = 0.0,
) -> Signal:
    """A panel of judges: minus the expected cost of the best decision, and which rows deserve one more judge.

    ``prior`` is even and ``costs`` are 1 for every wrong decision unless given (one row an action, one column a state).
    A request of kind ``judge`` goes out where the verdict of one more judge, distributed by ``outcomes`` (one row a
    verdict, one column a state), saves more than its ``price``, or where the judges' log-odds deviate by more than
    ``disagreement`` (0 never asks). A row that no judge answered keeps the prior and asks.
    """
    likelihoods, states = batch["state_likelihoods"], batch["state_likelihoods"].shape[2]
    judged = batch["judged"].all(2) if "judged" in batch else np.ones(likelihoods.shape[:2], np.bool_)
    start = np.asarray(tuple(prior) or (1.0 / states,) * states)
    table = np.asarray(costs, dtype=np.float64) if costs else 1.0 - np.eye(states)
    decision = decide(likelihoods, judged & batch.valid[:, None], start, table)
    ask = decision.judges == 0
    if outcomes:
        ask |= value_of_information(decision.posterior, np.asarray(outcomes, dtype=np.float64), table, price) > 0
    if disagreement > 0:
        ask |= decision.disagreement > disagreement
    requests = [
        Request(int(row), "judge", {"posterior": decision.posterior[row].tolist(), "action": int(decision.action[row])})
        for row in np.flatnonzero(ask & batch.valid).tolist()
    ]
    unheard = int((batch.valid & (decision.judges == 0)).sum())
    return batch.signal(rewards=-decision.cost, requests=requests, report={"bayesian_panel/unheard": unheard})


class Decision(NamedTuple):
    """What a panel of judges leads to.

    Attributes:
        posterior: ``[N, C]``.
        action: ``[N]`` of least expected cost.
        cost: ``[N]`` that cost.
        judges: ``[N]`` judges heard.
        disagreement: ``[N]`` largest deviation over judges of a state's log-odds; 0 below two judges.
    """

    posterior: FloatArray
    action: IntArray
    cost: FloatArray
    judges: IntArray
    disagreement: FloatArray


def decide(likelihoods: FloatArray, given: BoolArray, prior: FloatArray, costs: FloatArray) -> Decision:
    """Posterior by the median of the judges' log-likelihoods, and the action that is cheapest under it.

    A row without any judge keeps the prior. Evidence that comes in rounds is taken in by passing the posterior as the
    next round's prior.

    Args:
        likelihoods: ``[N, J, C]`` of what was seen in each state, above 0; smaller ones count as 1e-6.
        given: ``[N, J]`` judges that answered.
        prior: ``[C]`` or ``[N, C]``, summing to 1.
        costs: ``[A, C]`` cost of each action in each state.

    Raises:
        InputError: a prior does not sum to 1, or shapes do not fit.

    Source: Bayesian Orchestration of Multi-LLM Agents, reconstructed from the abstract.
    """
    rows, _, states = likelihoods.shape
    start = np.broadcast_to(prior, (rows, states))
    if costs.ndim != 2 or costs.shape[1] != states:
        raise InputError(f"costs: shape {costs.shape}; expected one row an action and {states} states")
    if bool((start < 0).any()) or not np.allclose(start.sum(1), 1.0):
        raise InputError("prior: probabilities must not be negative and sum to 1")
    logs = np.log(np.maximum(likelihoods, _LEAST))
    counts = given.sum(1)
    joint = np.log(np.maximum(start, _LEAST**2)) + _median(logs, given)
    posterior = np.exp(joint - joint.max(1, keepdims=True, initial=-np.inf))
    posterior = posterior / posterior.sum(1, keepdims=True)
    expected = posterior @ costs.T
    action = expected.argmin(1) if rows else np.zeros(0, np.int64)
    odds = logs - np.log(np.maximum(np.exp(logs).sum(2, keepdims=True) - np.exp(logs), _LEAST))
    mean = np.where(given[:, :, None], odds, 0.0).sum(1) / np.maximum(counts, 1)[:, None]
    squares = np.where(given[:, :, None], (odds - mean[:, None]) ** 2, 0.0).sum(1) / np.maximum(counts - 1, 1)[:, None]
    spread = np.sqrt(squares).max(1, initial=0.0) * (counts > 1)
    return Decision(posterior, action, expected.min(1, initial=np.inf), counts, spread)


def value_of_information(posterior: FloatArray, outcomes: FloatArray, costs: FloatArray, price: float) -> FloatArray:
    """``[N]`` expected saving by asking one more judge, less its price; ask where it is positive.

    Args:
        posterior: ``[N, C]``.
        outcomes: ``[O, C]`` probability of each verdict of that judge in each state; columns sum to 1.
        costs: ``[A, C]``.
        price: of the call, in the same units.

    Raises:
        InputError: the columns of ``outcomes`` do not sum to 1.
    """
    if not np.allclose(outcomes.sum(0), 1.0):
        raise InputError("outcomes: each state's probabilities must sum to 1")
    now = (posterior @ costs.T).min(1)
    # Weighted by the chance of the verdict, the posterior needs no normalising: the minimum is homogeneous.
    later = ((posterior[:, None, :] * outcomes[None]) @ costs.T).min(2).sum(1)
    saving: FloatArray = now - later - price
    return saving


def _median(values: FloatArray, given: BoolArray) -> FloatArray:
    """``[N, C]`` median over the judges given; 0 without any."""
    ordered = np.sort(np.where(given[:, :, None], values, np.inf), axis=1)
    number = given.sum(1)
    low, high = np.maximum(number - 1, 0) // 2, number // 2
    rows = np.arange(len(values))
    high = np.minimum(high, max(values.shape[1] - 1, 0))
    middle = (ordered[rows, low] + ordered[rows, high]) / 2
    return np.where(number[:, None] > 0, middle, 0.0)
