"""Chemical equations: the right species, and balanced."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.chemistry import Equation, FormulaError, is_balanced, read_equation
from reward_servers.verifiers._answers import AnswerOptions, answer_part

_LINES = 200


class EquationReference(Reference):
    """The right equation, balanced."""

    answer: str = Field(min_length=1, description="Such as `2 H2 + O2 -> 2 H2O`.")


class EquationOptions(AnswerOptions):
    """Which equations are right. The last line with an equation in the selected part is read."""

    coefficients: Literal["ratio", "given"] = Field(
        "ratio", description="Multiples of all coefficients are right as well, or only those of the reference."
    )
    grade: Literal["all", "share"] = Field("all", description="1 for the right one, or half for its species alone.")


def _last(text: str) -> Equation | None:
    for line in reversed(text.strip().splitlines()[-_LINES:]):
        try:
            return read_equation(line.strip().rstrip("."))
        except FormulaError:
            continue
    return None


@verifier(
    "equation",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("balanced", "species", "coefficients"), 0.0),
)
def equation(rollout: Rollout, ref: EquationReference, options: EquationOptions) -> Score:
    """Whether a chemical equation has the right species on each side with coefficients that balance it.

    Source: conservation of atoms and charge (IUPAC Gold Book, `chemical reaction equation`), checked in whole
    numbers.
    """
    try:
        right = read_equation(ref.answer)
    except FormulaError as error:
        raise DatasetError(f"reference.answer: {error}") from None
    if not is_balanced(right):
        raise DatasetError("reference.answer: the equation is not balanced, or a species stands on both sides")
    answer = answer_part(rollout, options)
    stated = _last(answer) if answer is not None else None
    if stated is None:
        return Score.floor("no_answer", f"no equation (take = {options.take})")
    terms, right_terms = stated.terms, right.terms
    species = terms.keys() == right_terms.keys()
    ratios = {terms[name] / right_terms[name] for name in right_terms} if species else set()
    is_same = len(ratios) == 1 and (options.coefficients == "ratio" or ratios == {1})
    aspects = {"balanced": float(is_balanced(stated)), "species": float(species), "coefficients": float(is_same)}
    value = 1.0 if is_same else 0.5 if species and options.grade == "share" else 0.0
    return Score(value, aspects=aspects)
