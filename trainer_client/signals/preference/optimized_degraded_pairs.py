"""Pairs for a reward model of reasoning: versions of a text made better or worse in one respect.

Posterior-GRPO (arXiv 2508.05170); which pairs are made is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Groups,
    Input,
    IntArray,
    Laws,
    Pair,
    Signal,
    SignalBatch,
    register,
)
from trainer_client.signals.parts.pairs import valid_members

_VERSIONS = Input("versions", "N", "int", "quality of a version of a text by construction: the higher, the better")
_DIMENSIONS = Input("dimensions", "N", "ids", "respect in which a version was changed")


def _versions(inputs: dict[str, Any]) -> None:
    inputs["versions"] = inputs["versions"] % 3 - 1


@register(
    "optimized_degraded_pairs",
    paper="posterior-grpo",
    needs="group",
    inputs=(_VERSIONS, _DIMENSIONS, "groups"),
    provenance="secondary",
    formula="optimised > base, base > degraded, optimised > degraded, within a dimension",
    laws=Laws(permutation=False, removal=False, prepare=_versions),
)
def optimized_degraded_pairs(batch: SignalBatch, *, base: int = 0) -> Signal:
    """Pairs for a reward model of reasoning: versions of a text made better or worse in one respect.

    ``groups`` are the base texts, ``versions`` the quality by construction (``base`` the text itself, higher is
    better), ``dimensions`` the respect that was changed. A pair is of one dimension; the base belongs to all.
    """
    pairs: list[Pair] = version_pairs(batch["versions"], batch.ids("dimensions"), batch.groups, batch.valid, base=base)
    return batch.signal(pairs=pairs)


def version_pairs(
    versions: IntArray, dimensions: Groups, groups: Groups, valid: BoolArray, *, base: int = 0
) -> list[Pair]:
    """Pairs of versions of one text that differ in quality, within a dimension; the base belongs to all dimensions.

    Args:
        versions: ``[N]`` quality by construction; the higher, the better.
        dimensions: in what respect a version was changed.
        groups: versions of the same text.
        valid: ``[N]`` rows that take part.
        base: quality of the text itself.
    """
    pairs = []
    for members in valid_members(groups, valid):
        quality, respect = versions[members], dimensions.index[members]
        shared = (respect[:, None] == respect[None, :]) | (quality == base)[:, None] | (quality == base)[None, :]
        gap = quality[:, None] - quality[None, :]
        for i, j in np.argwhere(shared & (gap > 0)).tolist():
            pairs.append(Pair(int(members[i]), int(members[j]), margin=float(gap[i, j])))
    return pairs
