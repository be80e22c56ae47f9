"""ITool's choice of what to explore: the samples that the policy finds hardest, tool calls and others apart.

iTool, zeng-yirong/iTool mcts/utils.py @871eceb4.
"""

from __future__ import annotations

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    FloatArray,
    Groups,
    Input,
    Laws,
    OptionError,
    Signal,
    SignalBatch,
    register,
)

_CALLS_TOOL = Input("calls_tool", "N", "bool", "what was asked for is a call of a tool")
_PERPLEXITIES = Input("perplexities", "N", "float", "perplexity of a row's reference under the policy")


@register(
    "itool_hardest",
    paper="itool",
    needs="batch",
    inputs=(_PERPLEXITIES, _CALLS_TOOL),
    provenance="code",
    formula="keep the share of samples with the largest perplexity, apart for those with and without a tool call",
    laws=Laws(permutation=False),
)
def itool_hardest(batch: SignalBatch, *, share: float = 0.3) -> Signal:
    """ITool's choice of what to explore: the samples that the policy finds hardest, tool calls and others apart.

    The same order, easy to hard, is its curriculum for the warm-up.
    """
    valid = batch.valid
    kinds = Groups.of(batch["calls_tool"][valid].astype(np.int64))
    keep = np.ones(batch.rows, np.bool_)
    keep[valid] = hardest(batch["perplexities"][valid], kinds, share)
    return batch.signal(keep=keep)


def hardest(difficulty: FloatArray, kinds: Groups, share: float = 0.3) -> BoolArray:
    """``[N]`` the ``share`` of each kind of sample with the largest difficulty, at least one; ties in batch order.

    Raises:
        OptionError: ``share`` is outside (0, 1].

    Source: iTool, zeng-yirong/iTool mcts/utils.py @871eceb4.
    """
    if not 0.0 < share <= 1.0:
        raise OptionError(f"share: {share} of the samples; choose more than 0 and at most 1")
    number = np.maximum(np.floor(share * kinds.sizes + 1e-9).astype(np.int64), 1)
    result: BoolArray = kinds.rank(difficulty, descending=True) < kinds.spread(number)
    return result
