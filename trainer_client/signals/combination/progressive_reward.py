"""PRS: stages in order (calls parse, format, quality), each counted only once those before it are passed.

PRS (arXiv 2512.07478); stages and weights reconstructed from its abstract.
"""

from __future__ import annotations

from trainer_client.signals.authoring import Laws, Signal, SignalBatch, register, third_column
from trainer_client.signals.parts.columns import combined_columns, one_each
from trainer_client.signals.parts.terms import Gate, Term


@register(
    "progressive_reward",
    paper="vspo",
    needs="group",
    inputs=("components", "groups"),
    provenance="abstract",
    formula="R = sum_k w_k * s_k over the stages up to the first that is not passed; then GRPO",
    columns=one_each("weights"),
    laws=Laws(prepare=third_column),
)
def progressive_reward(
    batch: SignalBatch, *, weights: tuple[float, ...] = (0.1, 0.1, 0.8), passed: float = 1.0, eps: float = 1e-6
) -> Signal:
    """PRS: stages in order (calls parse, format, quality), each counted only once those before it are passed.

    A stage that falls short of ``passed`` counts with what it has. Stages behind it are not needed.
    """
    components = batch["components"]
    gates = [Gate(passed)] * (len(weights) - 1)
    terms = [Term(f"stage {k}", w, gate=g) for k, (w, g) in enumerate(zip(weights, [*gates, None], strict=True))]
    return combined_columns(batch, components, terms, eps)
