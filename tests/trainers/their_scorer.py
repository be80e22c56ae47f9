"""Scorers of inspect_ai as its users write them."""

from __future__ import annotations

from typing import Any

from inspect_ai.scorer import Score, Scorer, Target, accuracy, mean, scorer
from inspect_ai.solver import TaskState


@scorer(metrics=[accuracy()])  # type: ignore[untyped-decorator]
def by_content() -> Scorer:
    """Grade by what the response says."""

    async def score(state: TaskState, target: Target) -> Score | None:
        said = state.output.completion
        if said == "raise":
            raise RuntimeError("broken")
        if said == "none":
            return None
        if said == "unscored":
            return Score.unscored(reason="grader_error")
        if said == "odd":
            return Score(value="perhaps")
        assert state.messages[0].text == "6*7?"
        return Score(value="C" if said == target.text else "P", answer=said, explanation=f"against {target.text}")

    return score


@scorer(metrics={"*": [mean()]})  # type: ignore[untyped-decorator]
def several() -> Scorer:
    """Give an object."""

    async def score(state: TaskState, target: Target) -> Score:
        value: Any = {"right": "C", "short": 0.25}
        return Score(value=value)

    return score
