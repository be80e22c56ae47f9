"""DAPO's overlong filtering: truncated rollouts stay in the statistics and out of the loss.

DAPO (arXiv 2503.14476) section 3.4; huggingface/trl mask_truncated_completions @f2cd5771.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Signal, SignalBatch, register


@register(
    "overlong_filter",
    paper="dapo",
    needs="row",
    inputs=("truncated",),
    provenance="code",
    formula="weight 0 where truncated",
)
def overlong_filter(batch: SignalBatch) -> Signal:
    """DAPO's overlong filtering: truncated rollouts stay in the statistics and out of the loss.

    Place it last in a pipeline; placed before an advantage, it takes the rows out of the statistics as well.
    """
    return batch.signal(keep=~batch["truncated"])
