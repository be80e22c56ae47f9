"""Reward functions as users of trainers write them, good ones and bad ones; none knows of us."""

from __future__ import annotations

import os
import sys
import time
from typing import Any


def accuracy(prompts: Any, completions: Any, solution: Any, **kwargs: Any) -> Any:
    """Whether the solution is in the completion."""
    kwargs["log_metric"]("rows", float(len(completions)))
    kwargs["log_extra"]("seen", [f"{prompt} -> {one}" for prompt, one in zip(prompts, completions, strict=True)])
    return [float(right in one) for right, one in zip(solution, completions, strict=True)]


def by_content(completions: Any, **kwargs: Any) -> Any:
    """Do what the completion says."""
    (said,) = completions
    answers: dict[str, Any] = {
        "none": [None],
        "nan": [float("nan")],
        "text": ["1.0"],
        "true": [True],
        "two": [1.0, 0.0],
        "number": 1.0,
        "nothing": None,
        "large": [7.0],
        "inf": [float("inf")],
    }
    if said == "raise":
        raise KeyError("broken")
    if said == "exit":
        sys.exit(3)
    if said == "die":
        os._exit(3)
    if said == "sleep":
        time.sleep(3600)
    if said == "spin":
        while True:
            pass
    return answers.get(said, [0.5])


def keeps(completions: Any, seen: Any, **kwargs: Any) -> Any:
    """Change what it is given, as careless functions do."""
    seen[0].append("again")
    return [float(len(seen[0]))]


def longest(completions: Any, **kwargs: Any) -> Any:
    """Compare the completions of a group; one of them cannot be judged."""
    most = max(map(len, completions))
    return [None if one == "none" else float(len(one) == most) for one in completions]


def contents(completions: Any, **kwargs: Any) -> Any:
    """Read messages."""
    return [float(one[-1]["content"] == "42") for one in completions]


async def waits(completions: Any, **kwargs: Any) -> Any:
    if completions == ["raise"]:
        raise ConnectionError("the endpoint is gone")
    return [1.0]


def scheduled(completions: Any, trainer_state: Any, **kwargs: Any) -> Any:
    return [1.0]


def compute_score(data_source: Any, solution_str: Any, ground_truth: Any, extra_info: Any = None) -> Any:
    """As in verl."""
    if solution_str == "no score":
        return {"acc": 1.0}
    if data_source == "unknown":
        raise NotImplementedError(data_source)
    right = ground_truth in solution_str
    return {"score": right, "acc": right, "split": (extra_info or {}).get("split")}


class Reward:
    """As in ms-swift, whose base class needs nothing."""

    def __call__(self, completions: Any, solution: Any, **kwargs: Any) -> Any:
        assert kwargs["messages"][0][-1]["content"] == completions[0]
        return [float(one == right) for one, right in zip(completions, solution, strict=True)]


class Waiting:
    async def __call__(self, completions: Any, **kwargs: Any) -> Any:
        return [1.0 for _ in completions]
