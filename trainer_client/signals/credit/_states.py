"""Which steps of a group were taken in the same state."""

from __future__ import annotations

from difflib import SequenceMatcher

import numpy as np

from trainer_client.signals._arrays import IntArray
from trainer_client.signals._groups import Groups


def similar_states(anchors: Groups, groups: Groups, threshold: float) -> Groups:
    """Merge text states of the same prompt whose similarity reaches ``threshold``.

    A state joins the first cluster (in order of appearance) whose first member is similar enough, so the result
    depends on the order of rows. Similarity is ``difflib``'s ratio; identical states are always together.

    Args:
        anchors: partition by state, labelled with the texts.
        groups: partition by prompt; states of different prompts stay apart.
        threshold: in (0, 1]; 1 keeps the exact partition.

    Source: langfengQ/DrMAS verl/trainer/ppo/core_algos.py @19c632bc.
    """
    exact = groups.cross(anchors)
    if threshold >= 1.0:
        return exact
    leaders: dict[int, list[tuple[str, int]]] = {}
    cluster: IntArray = np.zeros(len(exact), np.int64)
    for number, row in enumerate(exact.first(np.arange(exact.rows)).tolist()):
        text = str(anchors.labels[anchors.index[row]])
        known = leaders.setdefault(int(groups.index[row]), [])
        for leader, leading in known:
            if SequenceMatcher(None, text, leader).ratio() >= threshold:
                cluster[number] = leading
                break
        else:
            cluster[number] = number
            known.append((text, number))
    return Groups.of(cluster[exact.index])
