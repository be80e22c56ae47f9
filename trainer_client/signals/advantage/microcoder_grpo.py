"""Breaking Training Bottlenecks: Effective and Stable Reinforcement Learning for Coding Models (MicroCoder-GRPO).

MicroCoder-GRPO, formula figure and glossary of ZongqianLi/MicroCoder @acd9bcd1; rate, ddof, eps ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    IntArray,
    Laws,
    OptionError,
    Paper,
    Signal,
    SignalBatch,
    register,
    uniforms,
)
from trainer_client.signals.parts.group_normalise import group_normalise
from trainer_client.signals.parts.tokens import token_ends

PAPER = Paper("microcoder", __doc__, provenance="secondary")

_INCORRECT = Input("incorrect", "N", "bool", "a verdict says that the rollout is wrong; False where none was given")


@register(
    "microcoder_grpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups", "truncated", "token_ids", "lengths|mask"),
    optional=(_INCORRECT,),
    formula="A_i = (r_i - mean) / (std + eps) * (1 - 1[truncated, not wrong, no repeat, U < rate])",
    laws=Laws(constant=True, permutation=False, removal=False, options={"width": 1, "diversity_ngram": 2}),
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
        raise OptionError(f"microcoder_grpo: rate = {rate} must lie in [0, 1]")
    has_verdicts = "incorrect" in batch
    wrong: BoolArray = batch["incorrect"] if has_verdicts else batch.rewards < correct
    ends = token_ends(batch.mask)
    draws = uniforms(batch.groups, seed=seed, step=batch.step, stream="microcoder")
    spared = batch["truncated"] & ~wrong & ~tail_repeats(batch["token_ids"], ends, width) & (draws < rate)
    advantages = group_normalise(batch.rewards, batch.groups, batch.valid, ddof=ddof, eps=eps)
    report = {"microcoder/spared": float(spared[batch.valid].mean()) if batch.valid.any() else 0.0}
    if diversity_ngram is not None:
        distinct = distinct_ngrams(batch["token_ids"], ends, batch.groups, diversity_ngram)
        report["microcoder/diversity"] = float(distinct.mean()) if distinct.size else 0.0
    return batch.signal(advantages=np.where(spared, 0.0, advantages), report=report)


def tail_repeats(token_ids: IntArray, ends: IntArray, width: int = 128) -> BoolArray:
    """``[N]`` rows whose last ``width`` tokens equal the ``width`` before them; shorter rows do not repeat.

    Args:
        token_ids: ``[N, T]``.
        ends: ``[N]`` tokens of each row; what lies beyond is padding.
        width: tokens compared.

    Raises:
        OptionError: ``width`` is below 1.
    """
    if width < 1:
        raise OptionError(f"width: {width} must be at least 1")
    repeats = np.zeros(len(token_ids), np.bool_)
    long = np.flatnonzero(ends >= 2 * width)
    if long.size:
        at = ends[long, None] - width + np.arange(width)
        tokens = token_ids[long]
        equals = np.take_along_axis(tokens, at, 1) == np.take_along_axis(tokens, at - width, 1)
        repeats[long] = equals.all(axis=1)
    return repeats


def distinct_ngrams(token_ids: IntArray, ends: IntArray, groups: Groups, n: int = 4) -> FloatArray:
    """``[Q]`` distinct n-grams of a group over all of them: 1 where nothing is said twice; 0 without any n-gram.

    Raises:
        OptionError: ``n`` is below 1.
    """
    if n < 1:
        raise OptionError(f"n: {n} must be at least 1")
    if token_ids.shape[1] < n or not len(groups):
        return np.zeros(len(groups))
    grams = np.lib.stride_tricks.sliding_window_view(token_ids, n, axis=1)
    inside = np.arange(grams.shape[1]) <= (ends - n)[:, None]
    owner = np.broadcast_to(groups.index[:, None], inside.shape)[inside]
    distinct = np.unique(np.column_stack((owner, grams[inside])), axis=0)[:, 0]
    total, counts = (np.bincount(index, minlength=len(groups)) for index in (owner, distinct))
    return counts / np.maximum(total, 1)
