"""Truncated Proximal Policy Optimization (T-PPO).

T-PPO (arXiv 2506.15050), reviews; what the masks leave out in detail is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import BoolArray, FloatArray, Input, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.tokens import generalised_advantages

PAPER = Paper("t-ppo", __doc__, provenance="secondary")

_FINISHED = Input("finished", "N", "bool", "row ended within this window of generation")
_WINDOW_STARTS = Input("window_starts", "N", "int", "first token that a row generated in this window")


@register(
    "t_ppo",
    paper=PAPER,
    needs="row",
    inputs=("rewards|token_rewards", "lengths|mask", "values", _FINISHED, _WINDOW_STARTS),
    formula="GAE; last error r - V if finished, (gamma - 1) * V if not",
)
def t_ppo(batch: SignalBatch, *, gamma: float = 1.0, lam: float = 1.0) -> Signal:
    """T-PPO: advantages for rollouts that are cut by the window of generation and go on in the next one.

    The policy is trained on the tokens of this window (``window_starts`` and after), the critic on all tokens of rows
    that finished in it. ``token_weights`` is the policy's mask; ``returns`` are the critic's targets, 0 elsewhere.
    Only finished rows need a verdict: leave an unfinished row valid with any reward. A row cut at the
    absolute limit counts as finished.
    """
    mask = batch.mask & batch.valid[:, None]
    finished = batch["finished"]
    raw = truncated_advantages(batch.token_rewards, batch["values"], mask, finished, gamma=gamma, lam=lam)
    in_window = mask & (np.arange(mask.shape[1]) >= batch["window_starts"][:, None])
    full = truncated_advantages(batch.token_rewards, batch["values"], mask, finished, gamma=gamma, lam=1.0)
    targets = np.where(mask & finished[:, None], full + batch["values"], 0.0)
    return batch.signal(
        token_advantages=np.where(in_window, raw, 0.0),
        token_weights=in_window.astype(np.float64),
        returns=targets,
        report={"t_ppo/pending": int((batch.valid & ~finished).sum())},
    )


def truncated_advantages(
    token_rewards: FloatArray,
    values: FloatArray,
    mask: BoolArray,
    finished: BoolArray,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
) -> FloatArray:
    """``[N, T]`` GAE in which an unfinished row ends on its own last estimate.

    After its last token a finished row has the value 0. An unfinished one is taken to go on as before, with
    ``V(s_l) = V(s_{l-1})``, and its reward is not counted: it was not judged. Its last error is then
    ``(gamma - 1) * V(s_{l-1})``.

    Args:
        token_rewards: ``[N, T]``.
        values: ``[N, T]``.
        mask: ``[N, T]`` tokens generated so far; others pass value and advantage on.
        finished: ``[N]``.
        gamma: discount.
        lam: decay of later errors.

    Source: T-PPO (arXiv 2506.15050), the assumption on the last state as quoted in reviews.
    """
    if not values.shape[1]:
        return np.zeros(values.shape)
    last = values.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    final = np.where(finished, 0.0, values[np.arange(len(values)), last])
    rewards = np.where(finished[:, None], token_rewards, 0.0)
    advantages = generalised_advantages(rewards, values, mask, gamma=gamma, lam=lam, final_values=final)
    return np.where(mask, advantages, 0.0)
