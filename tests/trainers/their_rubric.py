"""A rubric of verifiers 0.1 as its users write it."""

from __future__ import annotations

from typing import Any

import verifiers as vf


def correct(completion: Any, answer: str) -> float:
    """Whether the answer is in the last message."""
    return float(answer in completion[-1]["content"])


async def brief(completion: Any, **kwargs: Any) -> float:
    """Whether it is short; raises for one."""
    if completion[-1]["content"] == "raise":
        raise RuntimeError("broken")
    return float(len(completion[-1]["content"]) < 10)


def metric(state: Any) -> float:
    """Count for nothing, and fails."""
    raise KeyError("nothing")


def longest(completions: Any) -> list[float]:
    """Judge a group."""
    most = max(len(one[-1]["content"]) for one in completions)
    return [float(len(one[-1]["content"]) == most) for one in completions]


rubric = vf.Rubric(funcs=[correct, brief, metric], weights=[1.0, 0.5, 0.0])
groups = vf.RubricGroup(rubrics=[vf.Rubric(funcs=[correct]), vf.Rubric(funcs=[longest], weights=[0.5])])


def load_rubric() -> vf.Rubric:
    """Make one."""
    return vf.Rubric(funcs=[correct])
