"""A verifier that writes down what it judges, and waits until it may."""

from __future__ import annotations

import os
import time

from reward_servers import ItemLimits, Rollout, verifier


@verifier("probe/counted", version="1", limits=ItemLimits(wall_s=600.0))
def counted(rollout: Rollout) -> float:
    """Half a point, once a file is there."""
    with open(os.environ["PROBE_LOG"], "a") as file:
        file.write(f"{rollout.rollout_id}\n")
    while not os.path.exists(os.environ["PROBE_GATE"]):
        time.sleep(0.01)
    return 0.5
