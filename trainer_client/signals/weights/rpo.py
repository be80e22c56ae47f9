"""Provably Mitigating Overoptimization in RLHF: Your SFT Loss is Implicitly an Adversarial Regularizer (RPO).

RPO (arXiv 2405.16436); YSLIU627/Regularized-Preference-Optimization OpenRLHF, train_rpo.sh @d0389c4d.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import Laws, OptionError, Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.pairs import best_worst_pairs

PAPER = Paper("rpo", __doc__, provenance="code")


@register(
    "rpo",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    optional=("references",),
    formula="loss = mean -log sigma(beta * D) + eta * NLL(baseline); weights: eta on baseline rows, 0 elsewhere",
    laws=Laws(permutation=False),
)
def rpo(batch: SignalBatch, *, eta: float = 0.2) -> Signal:
    """RPO: DPO's pairs, and an imitation of a baseline answer against over-optimisation.

    ``weights`` are the factors of a row's mean negative log-likelihood: ``eta`` on the chosen row of each pair, or on
    the rows marked ``references`` in a group that has any. beta is 0.5 in the script. The likelihood is averaged over
    the tokens of all baseline rows together.
    """
    if eta < 0:
        raise OptionError(f"rpo: eta = {eta} is negative")
    pairs = best_worst_pairs(batch.rewards, batch.groups, batch.valid)
    baseline = np.zeros(batch.rows, np.bool_)
    baseline[[pair.chosen for pair in pairs]] = True
    if "references" in batch:
        reference_wins = batch["references"] & batch.valid
        baseline = np.where(batch.groups.spread(batch.groups.any(reference_wins)), reference_wins, baseline)
    return batch.signal(pairs=pairs, weights=eta * baseline)
