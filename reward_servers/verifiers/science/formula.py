"""Chemical formulas."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from reward_servers import DatasetError, ItemLimits, Reference, Rollout, Score, verifier
from reward_servers.engines.chemistry import FormulaError, read_formula
from reward_servers.verifiers._answers import AnswerOptions, answer_part


class FormulaReference(Reference):
    """The right formula."""

    answer: str = Field(min_length=1, description="Such as `Ca(OH)2`, `CuSO4·5H2O`, `SO4^2-`.")


class FormulaOptions(AnswerOptions):
    """When two formulas are the same."""

    same: Literal["composition", "written"] = Field(
        "composition",
        description="The same atoms and charge, or also in the same order and grouping: CH3OH is not CH4O.",
    )


@verifier(
    "formula",
    version="1",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("composition", "charge"), 0.0),
)
def formula(rollout: Rollout, ref: FormulaReference, options: FormulaOptions) -> Score:
    """Whether a chemical formula is the right one: atoms and charge, plain, in LaTeX or with small digits.

    Source: formulas as in the IUPAC Red Book (2005), IR-4.
    """
    try:
        right = read_formula(ref.answer)
    except FormulaError as error:
        raise DatasetError(f"reference.answer: {error}") from None
    answer = answer_part(rollout, options)
    if answer is None:
        return Score.floor("no_answer", f"nothing to read (take = {options.take})")
    try:
        stated = read_formula(answer.strip().rstrip("."))
    except FormulaError as error:
        return Score.floor("no_answer", f"no formula: {error}")
    aspects = {"composition": float(stated.atoms == right.atoms), "charge": float(stated.charge == right.charge)}
    is_same = stated.composition == right.composition
    if options.same == "written":
        is_same = is_same and stated.written == right.written
    return Score(float(is_same), aspects=aspects, evidence={"atoms": dict(stated.atoms), "charge": stated.charge})
