"""The base family works on arrays: as many calls and lines for a thousand prompts as for fifty."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tests.signals.laws import LAWS, draw_inputs, make
from trainer_client.signals import SignalBatch, methods

BY_OBJECT = {"preference_pairs": "makes an object a pair", "release/dynamic_sampling": "numpy's deviation, by group"}
STAPLES = {
    "dapo",
    "dr-grpo",
    "gae",
    "gdpo",
    "gigpo",
    "gpg",
    "grpo",
    "opo",
    "optimal-token-baseline",
    "pass-at-k",
    "prorl",
    "psr-nsr",
    "reinforce-plus-plus",
    "remax",
    "rloo",
}
BASE = [each.name for each in methods() if STAPLES & {*each.papers} or not each.papers]
BASE = [name for name in BASE if name not in BY_OBJECT]


def lines_run(call: Callable[[], object]) -> int:
    """Lines of Python that a call goes through."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("name", BASE)
def test_work_does_not_grow_with_the_number_of_groups(name: str) -> None:
    laws = LAWS[name]
    drawn = draw_inputs(name, laws, 11)
    rows = len(drawn["valid"])
    counts = []
    for prompts in (50, 1000):
        pick = np.random.default_rng(0).integers(0, rows, 4 * prompts)
        inputs = {key: value[pick] for key, value in drawn.items()}
        inputs["groups"] = np.repeat(np.arange(prompts), 4)
        if "trajectories" in inputs:
            inputs["trajectories"] = np.arange(len(pick))
        batch, estimator = SignalBatch(step=7, **inputs), make(name, laws)
        counts.append(lines_run(lambda estimator=estimator, batch=batch: estimator(batch)))  # type: ignore[misc]
    # Twenty times the groups; a garbage collection in between may add a few lines.
    assert counts[1] <= 1.2 * counts[0] + 50, counts
