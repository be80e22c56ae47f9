"""Pairs of instructions for one answer, of which it follows one in full (MAPL)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from reward_servers.engines.instructions import read_instruction
from reward_servers.preparing._step import RowError, StepOptions, Table, row_name, step, text_of

_NUMBER_OF_WORDS = "length_constraints:number_words"
_ABSENT = ("therefore", "meanwhile")


class Constraint(NamedTuple):
    """Something that an instruction may ask, as the verifier `ifeval` names it.

    Attributes:
        text: The sentence.
        instruction: Family of IFEval.
        kwargs: Its arguments.
    """

    text: str
    instruction: str
    kwargs: dict[str, Any]


class InstructionOptions(StepOptions):
    """How many constraints an instruction has."""

    constraints: int = Field(2, ge=1, le=4, description="Constraints of an instruction.")


@step("instructions", InstructionOptions)
def instructions(row: Table, options: InstructionOptions, draws: np.random.Generator) -> Iterator[dict[str, Any]]:
    """One answer under two instructions: it follows the one in full, and misses one constraint of the other.

    Rows are rollouts for the verifier `ifeval`, `metadata.answer` is the same for both: `groups` of the method
    `preference_pairs`, whose better row is the instruction that was followed.
    """
    prompt, response, name = text_of(row, "prompt"), text_of(row, "response"), row_name(row)
    followed, missed = _library(response)
    by_family: dict[str, Constraint] = {}
    for place in draws.permutation(len(followed)).tolist():
        by_family.setdefault(followed[place].instruction, followed[place])
    chosen = list(by_family.values())[: options.constraints]
    if len(chosen) < options.constraints:
        raise RowError(f"response: only {len(chosen)} constraints fit it; ask for fewer")
    spoiled_place = int(draws.integers(options.constraints))
    others = [constraint for place, constraint in enumerate(chosen) if place != spoiled_place]
    choices = [
        constraint
        for constraint in missed
        if not any(_about_the_same(constraint, constraint_kept) for constraint_kept in others)
    ]
    spoiled = [*chosen]
    spoiled[spoiled_place] = choices[int(draws.integers(len(choices)))]
    for kind, constraints in (("followed", chosen), ("missed", spoiled)):
        names = [constraint.instruction for constraint in constraints]
        reference = {"instruction_id_list": names, "kwargs": [constraint.kwargs for constraint in constraints]}
        own = f"{name}/{kind}"
        new_row = {**row, "rollout_id": own, "group_id": own, "reference": reference}
        new_row["prompt"] = " ".join([prompt, *(constraint.text for constraint in constraints)])
        yield {**new_row, "metadata": {**(row.get("metadata") or {}), "answer": name}}


def _about_the_same(first: Constraint, second: Constraint) -> bool:
    """Whether two constraints could contradict each other."""
    return first.instruction == second.instruction or bool(_words(first) & _words(second))


def _words(constraint: Constraint) -> set[str]:
    return {word for value in constraint.kwargs.values() if isinstance(value, list) for word in value}


def _library(response: str) -> tuple[list[Constraint], list[Constraint]]:
    """Constraints that the response follows, and such that it does not, as `ifeval` judges it."""
    followed: list[Constraint] = []
    missed: list[Constraint] = []
    for candidate in _candidates(response):
        (followed if read_instruction(candidate.instruction, candidate.kwargs).followed(response) else missed).append(
            candidate
        )
    return followed, missed


def _candidates(response: str) -> Iterator[Constraint]:
    words = re.findall(r"\w+", response)
    number = len(words)
    for least in (max(number - 3, 1), number + 10):
        yield Constraint(f"Use at least {least} words.", _NUMBER_OF_WORDS, {"relation": "at least", "num_words": least})
    for most in (number + 5, max(number - 3, 1)):
        yield Constraint(
            f"Use fewer than {most} words.", _NUMBER_OF_WORDS, {"relation": "less than", "num_words": most}
        )
    yield Constraint("Use no commas.", "punctuation:no_comma", {})
    yield Constraint("Put the whole answer into double quotation marks.", "startend:quotation", {})
    yield Constraint("Give a title in <<double angular brackets>>.", "detectable_format:title", {})
    longer = [word for word, _ in Counter(word for word in words if len(word) > 4 and word.isascii()).most_common(3)]
    for word in (*longer, *_ABSENT):
        yield Constraint(f"Use the word '{word}'.", "keywords:existence", {"keywords": [word]})
        yield Constraint(f"Do not use the word '{word}'.", "keywords:forbidden_words", {"forbidden_words": [word]})
