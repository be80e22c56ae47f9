"""A slow verifier that writes down what it judges."""

from __future__ import annotations

import os
import time

from reward_servers import Rollout, verifier


@verifier("probe/counted", version="1")
def counted(rollout: Rollout) -> float:
    """Half a point, after a tenth of a second."""
    with open(os.environ["PROBE_LOG"], "a") as file:
        file.write(f"{rollout.rollout_id}\n")
    time.sleep(0.1)
    return 0.5
