"""Credit by structure: prefix trees, steps, features; and MicroCoder's mask of truncated rows."""

from __future__ import annotations

import numpy as np

from trainer_client.signals._arrays import BoolArray, IntArray
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._draws import uniforms
from trainer_client.signals._errors import BadOption
from trainer_client.signals._registry import register
from trainer_client.signals._signal import Signal
from trainer_client.signals.credit import (
    feature_credit,
    prefix_differences,
    step_advantages,
    step_gains,
    steps_over_tokens,
)
from trainer_client.signals.normalise import group_normalise
from trainer_client.signals.selection import distinct_ngrams, tail_repeats


@register(
    "tempo",
    room="credit",
    needs="group",
    inputs=("rewards", "groups", "token_ids", "lengths|mask"),
    certainty="secondary",
    source="TEMPO (arXiv 2509.18314), abstract, and a public review for the division of the TD term; ddof and eps "
    "as in GRPO",
    formula="A_t = (r - mean + td * (V(prefix with t) - V(prefix before t))) / (std + eps); V the mean reward of the "
    "rows through a prefix",
    papers=("tempo",),
)
def tempo(batch: SignalBatch, *, td: float = 1.0, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """TEMPO: GRPO, and at each token where siblings part what the choice did to the reward to be expected.

    Works as long as prefixes are shared: the share of generated tokens with such a term is reported. Tokens of a tool
    are part of the prefix and get no credit.
    """
    valid, groups = batch.taken()
    mask, rewards = batch.mask[valid], batch.rewards[valid]
    changes = np.where(mask, prefix_differences(batch["token_ids"][valid], _ends(mask), rewards, groups), 0.0)
    centred = group_normalise(rewards, groups, scale="none")
    spread = groups.deviation(rewards, ddof)
    # As in `group_normalise`: what rounding leaves of equal rewards is no spread.
    flat = spread <= 1e-12 * np.abs(groups.first(rewards))
    factor = groups.spread(np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, spread + eps)))
    credit = factor[:, None] * (centred[:, None] + td * changes)
    shared = float((changes != 0).sum() / max(int(mask.sum()), 1))
    return batch.signal(
        token_advantages=batch.scatter(np.where(mask, credit, 0.0)), report={"tempo/branching_tokens": shared}
    )


@register(
    "dense_grpo",
    room="credit",
    needs="group",
    inputs=("groups", "prefix_scores", "steps", "lengths|mask"),
    optional=("prefix_valid",),
    certainty="abstract",
    source="DenseGRPO (arXiv 2601.20218), abstract; carried over from image flows to text, normalisation is ours",
    formula="d_t = Phi_t - Phi_{t-1}; A_t = (d_t - mean) / (std + eps) over the group's rows that have step t",
    papers=("densegrpo",),
)
def dense_grpo(batch: SignalBatch, *, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """DenseGRPO: each step is credited with what it added to a reward model's score of the prefix.

    ``prefix_scores`` come from a reward model asked about each prefix, the empty one first, ``steps`` says which step
    a token belongs to. Rows without a step are left out of its statistics (``prefix_valid``).
    """
    scores = batch["prefix_scores"]
    shown = batch["prefix_valid"] if "prefix_valid" in batch else np.ones(scores.shape, np.bool_)
    gains, known = step_gains(scores, shown & batch.valid[:, None])
    advantages = step_advantages(gains, known, batch.groups, ddof=ddof, eps=eps)
    mask = batch.mask & batch.valid[:, None]
    return batch.signal(token_advantages=steps_over_tokens(advantages, batch["steps"], mask))


@register(
    "graph_grpo",
    room="credit",
    needs="group",
    inputs=("rewards", "groups", "features"),
    certainty="abstract",
    source="Graph-GRPO (arXiv 2603.02701), abstract; the mean over rows and the contrast are ours",
    formula="credit of e = mean A over rows with e - mean A over rows without; A from GRPO",
    papers=("graph-grpo",),
)
def graph_grpo(batch: SignalBatch, *, against_absent: bool = True, ddof: int = 1, eps: float = 1e-6) -> Signal:
    """Graph-GRPO: credit for the edges of a sampled graph, or any other feature a rollout has or lacks.

    ``feature_advantages`` has the credit of each row's own features, for the policy that chose them; ``advantages``
    are GRPO's for the rows as wholes.
    """
    valid, groups = batch.taken()
    advantages = group_normalise(batch.rewards[valid], groups, ddof=ddof, eps=eps)
    features = batch["features"][valid]
    credit = groups.spread(feature_credit(advantages, features, groups, against_absent=against_absent))
    return batch.signal(
        advantages=batch.scatter(advantages), feature_advantages=batch.scatter(np.where(features, credit, 0.0))
    )


@register(
    "microcoder_grpo",
    room="advantage",
    needs="group",
    inputs=("rewards", "groups", "truncated", "token_ids", "lengths|mask"),
    optional=("incorrect",),
    certainty="code",
    source="MicroCoder-GRPO, formula figure and glossary of ZongqianLi/MicroCoder @acd9bcd1; rate, ddof, eps ours",
    formula="A_i = (r_i - mean) / (std + eps) * (1 - 1[truncated, not wrong, no repeat, U < rate])",
    papers=("microcoder",),
)
def microcoder_grpo(
    batch: SignalBatch,
    *,
    rate: float = 0.3,
    width: int = 128,
    correct: float = 1.0,
    diversity_ngram: int | None = None,
    ddof: int = 1,
    eps: float = 1e-6,
    seed: int = 0,
) -> Signal:
    """MicroCoder-GRPO: truncated answers that were not wrong are spared at random, so that length may grow.

    A row is wrong by the input ``incorrect`` if the batch carries it, else if its reward is below ``correct``. One
    whose last ``width`` tokens repeat the ``width`` before is never spared. Spared rows stay in the statistics and
    in the loss's count, with advantage 0. The draw depends on seed, step, prompt and place alone.
    ``diversity_ngram`` reports the share of distinct n-grams, by which the paper picks the temperature. Its loss has
    no KL term and a raised upper clip.
    """
    if not 0.0 <= rate <= 1.0:
        raise BadOption(f"microcoder_grpo: rate = {rate} must lie in [0, 1]")
    given = "incorrect" in batch
    wrong: BoolArray = batch["incorrect"] if given else batch.rewards < correct
    ends = _ends(batch.mask)
    draws = uniforms(batch.groups, seed=seed, step=batch.step, stream="microcoder")
    spared = batch["truncated"] & ~wrong & ~tail_repeats(batch["token_ids"], ends, width) & (draws < rate)
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    report = {"microcoder/spared": float(spared[batch.valid].mean()) if batch.valid.any() else 0.0}
    if diversity_ngram is not None:
        distinct = distinct_ngrams(batch["token_ids"], ends, batch.groups, diversity_ngram)
        report["microcoder/diversity"] = float(distinct.mean()) if distinct.size else 0.0
    return batch.signal(advantages=np.where(spared, 0.0, advantages), report=report)


def _ends(mask: BoolArray) -> IntArray:
    """``[N]`` position after each row's last generated token; 0 for a row without any."""
    if not mask.shape[1]:
        return np.zeros(mask.shape[0], np.int64)
    ends: IntArray = np.where(mask.any(1), mask.shape[1] - np.argmax(mask[:, ::-1], axis=1), 0)
    return ends
