"""Policy-Gradient Training of Language Models for Ranking (Neural PG-RANK).

Neural PG-RANK (arXiv 2310.04407), abstract and a public re-implementation.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Paper, Signal, SignalBatch, register
from trainer_client.signals.parts.group_normalise import group_normalise

PAPER = Paper("pg-rank", __doc__, provenance="abstract")


@register(
    "pg_rank",
    paper=PAPER,
    needs="group",
    inputs=("rewards", "groups"),
    formula="A_i = U_i - mean of the other U; log pi = sum_k s_k - logsumexp_{j >= k} s_j",
)
def pg_rank(batch: SignalBatch) -> Signal:
    """Neural PG-RANK: rankings drawn from a Plackett-Luce policy, each against the utility of the others.

    Rewards are the utilities of the sampled rankings, such as NDCG. A single sample counts with its own utility.
    `trainer_client.losses.plackett_luce` is the log-probability.
    """
    advantages = group_normalise(
        batch.rewards, batch.groups, batch.valid, centre="leave_one_out", scale="none", singleton="raw"
    )
    return batch.signal(advantages=advantages)
