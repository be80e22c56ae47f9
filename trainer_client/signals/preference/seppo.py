"""SePPO: Semi-Policy Preference Optimization for Diffusion Alignment.

SePPO, abstract; carried over from image diffusion, the test by implicit reward is ours.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Pair, Paper, Signal, SignalBatch, register

PAPER = Paper("seppo", __doc__, provenance="abstract")


@register(
    "seppo",
    paper=PAPER,
    needs="group",
    inputs=("references", "groups", "logprobs", "old_logprobs", "lengths|mask"),
    formula="d = log pi - log pi of the checkpoint; sample below the gold answer in d: negative, else second positive",
)
def seppo(batch: SignalBatch) -> Signal:
    """SePPO's anchor: a sample of an earlier checkpoint is a negative only where the policy prefers the gold answer.

    ``references`` are gold answers, ``old_logprobs`` those of the checkpoint that wrote the samples. ``advantages`` is
    the side of each row: 1 for gold answers and for samples the policy has come to prefer, -1 for the rest. Samples of
    a group without a gold answer are dropped.
    """
    valid, groups = batch.taken()
    mask = batch.mask[valid]
    gain = np.where(mask, batch["logprobs"][valid] - batch["old_logprobs"][valid], 0.0).sum(1)
    gold, rows = batch["references"][valid], np.flatnonzero(valid)
    anchor = groups.max(np.where(gold, gain, -np.inf))
    anchored = groups.any(gold)
    side = np.where(gold | (gain >= groups.spread(anchor)), 1.0, -1.0)
    pairs = []
    for members, has_gold in zip(groups.members(), anchored.tolist(), strict=True):
        if not has_gold:
            continue
        head = members[gold[members]][int(np.argmax(gain[members[gold[members]]]))]
        worse = members[side[members] < 0].tolist()
        pairs += [Pair(int(rows[head]), int(rows[w]), margin=float(gain[head] - gain[w])) for w in worse]
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = groups.spread(anchored)
    return batch.signal(advantages=batch.scatter(side), keep=keep, pairs=pairs)
