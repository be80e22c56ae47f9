"""Labels of guidance: the least hint that solves."""

from __future__ import annotations

from typing import Any

import numpy as np

from trainer_client.signals import SignalBatch
from trainer_client.signals.guidance import lowest_solving_hint

from ._harness import Case, label


@label("hint_level_selection")
def _(case: Case) -> Any:
    batch = SignalBatch(case.array("rewards"), case.inputs["uid"], hint_levels=case.inputs["hint_level"])
    rows = lowest_solving_hint(batch.rewards, batch["hint_levels"], batch.groups, np.ones(batch.rows, np.bool_))
    found = dict(zip(batch.groups.labels.tolist(), rows.tolist(), strict=True))
    return {
        "chosen_row": {str(uid): row for uid, row in found.items() if row >= 0},
        "unsolved": [uid for uid, row in found.items() if row < 0],
    }
