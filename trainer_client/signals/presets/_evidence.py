"""Token credit from a teacher's view of each token: CEPO, RLSD; T-PPO; what PAPO asks of a loss."""

from __future__ import annotations

from typing import Literal

import numpy as np

from trainer_client.signals._arrays import FloatArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import MissingInput
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Request, Signal
from trainer_client.signals.credit import contrast_credit, decayed_mix, truncated_advantages
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.weights import Aggregation, KlKind, kl_estimate, perception_weights

_CEPO = "ahmedheakl/CEPO verl/trainer/core_algos.py @7a9655d2"


@register(
    "cepo",
    room="credit",
    needs="group",
    inputs=("rewards", "groups", "evidence_logprobs", "counter_logprobs", "lengths|mask"),
    optional=("old_logprobs",),
    certainty="code",
    source=f"{_CEPO}, experiments/geo/cepo.sh; the table of the README has bound 0.5",
    formula="A_t = A * (1 - mix + mix * clip(exp(sign(A) * (lp_right - lp_wrong)), 1 - bound, 1 + bound))",
    papers=("cepo",),
)
def cepo(
    batch: SignalBatch,
    *,
    mix: float = 0.5,
    decay_steps: int = 25,
    bound: float = 0.2,
    wrong_below: float = 0.5,
    without_wrong: Literal["plain", "rlsd"] = "plain",
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """CEPO: tokens that the right answer speaks for, and a wrong one against, get more of the advantage.

    The logarithms come from a teacher (the policy itself) that reads the answer before the rollout; `cepo_references`
    says which wrong answer. ``mix`` falls to 0 over ``decay_steps`` by ``batch.step`` (0 keeps it). A group without a
    row below ``wrong_below`` has nothing to contrast with: ``plain`` leaves its advantages alone, as the release does;
    ``rlsd`` compares with the policy instead (needs ``old_logprobs``), as its README says.
    """
    valid, groups = batch.taken()
    contrast = batch["evidence_logprobs"] - batch["counter_logprobs"]
    has_wrong = np.zeros(batch.rows, np.bool_)
    has_wrong[valid] = groups.spread(groups.any(batch.rewards[valid] < wrong_below))
    other: FloatArray = np.zeros_like(contrast)
    if without_wrong == "rlsd":
        if "old_logprobs" not in batch:
            raise MissingInput("old_logprobs: needed by cepo with without_wrong='rlsd'; pass them to SignalBatch")
        other = batch["evidence_logprobs"] - batch["old_logprobs"]
    return _credited(batch, np.where(has_wrong[:, None], contrast, other), mix, decay_steps, bound, ddof, eps)


@register(
    "rlsd",
    room="credit",
    needs="group",
    inputs=("rewards", "groups", "evidence_logprobs", "old_logprobs", "lengths|mask"),
    certainty="code",
    source=f"{_CEPO} apply_rlsd_reweighting",
    formula="A_t = A * (1 - mix + mix * clip(exp(sign(A) * (lp_right - lp_policy)), 1 - bound, 1 + bound))",
    papers=("cepo",),
)
def rlsd(
    batch: SignalBatch,
    *,
    mix: float = 0.5,
    decay_steps: int = 25,
    bound: float = 0.2,
    ddof: int = 1,
    eps: float = 1e-6,
) -> Signal:
    """RLSD, before CEPO: tokens that the right answer makes likelier get more of the advantage."""
    contrast = batch["evidence_logprobs"] - batch["old_logprobs"]
    return _credited(batch, contrast, mix, decay_steps, bound, ddof, eps)


@register(
    "cepo_references",
    room="guidance",
    needs="group",
    inputs=("rewards", "groups"),
    certainty="code",
    source="ahmedheakl/CEPO verl/trainer/ray_trainer.py _build_cepo_teacher_batch @7a9655d2",
    formula="wrong reference: the group's lowest score, if below wrong_below",
    papers=("cepo",),
)
def cepo_references(batch: SignalBatch, *, wrong_below: float = 0.5) -> Signal:
    """CEPO's teacher passes: whose answer is to stand as the wrong one before each rollout.

    A request of kind ``teacher`` for every valid row. Its ``wrong_row`` is None in a group without a wrong rollout,
    for which the right answer stands on both sides. Of tied rows the first is taken.
    """
    valid, groups = batch.taken()
    rows = np.flatnonzero(valid)
    rewards = batch.rewards[valid]
    lowest = np.full(len(groups), -1, np.int64)
    bottom = np.flatnonzero(groups.rank(rewards) == 0)
    lowest[groups.index[bottom]] = np.where(rewards[bottom] < wrong_below, rows[bottom], -1)
    requests = [
        Request(int(row), "teacher", {"wrong_row": None if wrong < 0 else int(wrong)})
        for row, wrong in zip(rows.tolist(), groups.spread(lowest).tolist(), strict=True)
    ]
    return batch.signal(requests=requests, report={"cepo/without_wrong": int((lowest < 0).sum())})


@register(
    "t_ppo",
    room="credit",
    needs="row",
    inputs=("rewards|token_rewards", "lengths|mask", "values", "finished", "window_starts"),
    certainty="secondary",
    source="T-PPO (arXiv 2506.15050), reviews; what the masks leave out in detail is ours",
    formula="GAE; last error r - V if finished, (gamma - 1) * V if not",
    papers=("t-ppo",),
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
    here = mask & (np.arange(mask.shape[1]) >= batch["window_starts"][:, None])
    full = truncated_advantages(batch.token_rewards, batch["values"], mask, finished, gamma=gamma, lam=1.0)
    targets = np.where(mask & finished[:, None], full + batch["values"], 0.0)
    return batch.signal(
        token_advantages=np.where(here, raw, 0.0),
        token_weights=here.astype(np.float64),
        returns=targets,
        report={"t_ppo/pending": int((batch.valid & ~finished).sum())},
    )


@register(
    "papo",
    room="weights",
    needs="batch",
    inputs=("logprobs|old_logprobs", "masked_logprobs", "lengths|mask"),
    certainty="code",
    source="PAPO (arXiv 2507.06448); MikeWangWZHL/PAPO verl/workers/actor/dp_actor.py @fb63bf45, examples/config.yaml",
    formula="loss -= gamma * mean KL(pi(. | image) || pi(. | spoiled image)), k3",
    papers=("papo",),
)
def papo(
    batch: SignalBatch,
    *,
    gamma: float = 0.01,
    kind: KlKind = "k3",
    top: float = 1.0,
    average: Aggregation = "token-mean",
) -> Signal:
    """PAPO: the answer is to depend on the image, measured against the same answer given a spoiled image.

    ``token_weights`` are the factors of each token's divergence in the term that is subtracted from the loss
    (`trainer_client.losses.perception_loss`); ``gamma`` is 0.02 in the GRPO scripts. ``top`` keeps a row's most
    dependent tokens. The report holds the term's present value.
    """
    mask = batch.mask & batch.valid[:, None]
    present = batch["logprobs" if "logprobs" in batch else "old_logprobs"]
    divergence = np.where(mask, kl_estimate(present, batch["masked_logprobs"], kind), 0.0)
    weights = perception_weights(
        divergence, mask, np.ones(batch.rows), top=None if top == 1.0 else top, average=average
    )
    return batch.signal(token_weights=gamma * weights, report={"papo/divergence": float((weights * divergence).sum())})


def _credited(
    batch: SignalBatch, contrast: FloatArray, mix: float, decay_steps: int, bound: float, ddof: int, eps: float
) -> Signal:
    plain = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    mask = batch.mask
    by_token = contrast_credit(
        np.where(mask, plain[:, None], 0.0), contrast, mask, mix=decayed_mix(mix, batch.step, decay_steps), bound=bound
    )
    return batch.signal(advantages=plain, token_advantages=by_token)
