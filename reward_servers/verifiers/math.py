"""Math answers, compared by math-verify."""

from __future__ import annotations

from math_verify import parse, verify

from reward_servers import DatasetFault, Reference, Rollout, Score, verifier

__all__ = ["math"]


class Answer(Reference):
    """The expected answer, as data sets write it."""

    answer: str


@verifier("math", version="1")
def math(rollout: Rollout, ref: Answer) -> Score:
    """Whether the final answer equals the reference."""
    gold = parse(f"${ref.answer}$", parsing_timeout=None)
    if not gold:
        raise DatasetFault(f"reference.answer: {ref.answer!r} is not a mathematical expression")
    found = parse(rollout.response, parsing_timeout=None)
    if not found:
        return Score.floor("no_answer", "no answer found")
    right = verify(gold, found, timeout_seconds=None)
    return Score(float(right), evidence={"extracted": str(found[-1]), "expected": ref.answer})
