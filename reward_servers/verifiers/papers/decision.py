"""Decisions with a separate cost for each kind of mistake (a custom reward for job applications)."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.text import Form
from reward_servers.verifiers._answers import AnswerOptions, answer_part

_FORM = Form(case=False, whitespace="collapse", punctuation=False, compatibility=False)

_FLOOR = {"decision": -1.0, "label": None, "penalty": 1.0}


class DecisionReference(Reference):
    """The right decision."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    answer: str = Field(min_length=1)


class DecisionOptions(AnswerOptions):
    """The possible decisions, and the costs of mistakes."""

    choices: tuple[str, ...] = Field(("reject", "accept"), min_length=2, description="The decisions that there are.")
    costs: dict[str, float] = Field(
        default_factory=dict,
        description="Cost of a wrong decision, from 0 to 1, by what was decided; 1 where none is given.",
    )

    @model_validator(mode="after")
    def _check(self) -> DecisionOptions:
        forms = [_FORM.of(choice) for choice in self.choices]
        if len(set(forms)) != len(forms) or not all(forms):
            raise ValueError("choices: different words")
        if unknown := sorted(set(self.costs) - set(self.choices)):
            raise ValueError(f"costs: {unknown[0]!r} is not one of the choices")
        if not all(0 <= cost <= 1 for cost in self.costs.values()):
            raise ValueError("costs: from 0 to 1")
        return self

    def place(self, text: str) -> int | None:
        """Place of a decision among the choices; None if it is none of them."""
        form = _FORM.of(text)
        return next((place for place, choice in enumerate(self.choices) if _FORM.of(choice) == form), None)


@verifier("decision", version="2", limits=ItemLimits(response_bytes=1 << 19), aspects=_FLOOR)
def decision(rollout: Rollout, ref: DecisionReference, options: DecisionOptions) -> Score:
    """Whether a decision is the right one; a wrong one costs what its kind of mistake costs.

    The aspects `decision` and `label` are places among the choices, from 0, and -1 for a decision that cannot be read:
    the inputs of the method `job_application`. `penalty` is what the mistake costs. Source: arXiv 2511.16073, in its
    public summary.
    """
    label = options.place(ref.answer)
    if label is None:
        raise DatasetError(f"reference.answer: {ref.answer!r} is not one of {', '.join(options.choices)}")
    answer = answer_part(rollout, options)
    decided = options.place(answer) if answer is not None else None
    if decided is None:
        return Score(None, "no_answer", aspects={"decision": -1.0, "label": float(label), "penalty": 1.0})
    right = decided == label
    penalty = 0.0 if right else options.costs.get(options.choices[decided], 1.0)
    aspects = {"decision": float(decided), "label": float(label), "penalty": penalty}
    return Score(1.0 - penalty, "accepted" if right else "wrong", aspects=aspects)
