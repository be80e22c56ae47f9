"""Instruction following as IFEval and IFBench check it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from reward_servers import DatasetError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.instructions import Instruction, InstructionError, loosely, read_instruction
from reward_servers.engines.text import visible


class IfevalReference(Reference):
    """The columns of an IFEval file."""

    model_config = ConfigDict(populate_by_name=True)

    instruction_id_list: list[str] = Field(
        min_length=1,
        max_length=64,
        validation_alias=AliasChoices("instruction_id_list", "instruction_id"),
        description="Names of the instructions, such as `length_constraints:number_words`.",
    )
    kwargs: list[dict[str, Any] | None] = Field(description="Arguments of each; what is null is not given.")

    @model_validator(mode="after")
    def _check(self) -> IfevalReference:
        if len(self.kwargs) != len(self.instruction_id_list):
            raise ValueError(f"{len(self.instruction_id_list)} instructions, but {len(self.kwargs)} kwargs")
        return self


class IfevalOptions(Options):
    """How strictly the instructions are read, and what the score is."""

    mode: Literal["strict", "loose"] = Field(
        "strict", description="'loose' also reads the response without its first line, its last one, and asterisks."
    )
    grade: Literal["all", "share"] = Field("all", description="1 when all are followed, or the share that is.")


def _instructions(ref: IfevalReference) -> list[Instruction]:
    try:
        return [
            read_instruction(name, arguments or {})
            for name, arguments in zip(ref.instruction_id_list, ref.kwargs, strict=True)
        ]
    except InstructionError as error:
        raise DatasetError(f"reference: {error}") from None


@verifier(
    "ifeval",
    version="4",
    limits=ItemLimits(response_bytes=1 << 18),
    aspects=dict.fromkeys(("strict", "loose", "share_strict", "share_loose"), 0.0),
    libraries=("nltk", "py3langid", "syllapy", "emoji"),
)
def ifeval(rollout: Rollout, ref: IfevalReference, options: IfevalOptions) -> Score:
    """Whether a response follows the instructions of its prompt, strictly or loosely: families of IFEval and IFBench.

    Sources: arXiv 2311.07911 and 2507.02833 with their published checks: all 25 families of IFEval, and those of
    IFBench but the one that needs a tagger. `strict` and `loose` are accuracies of the prompt, `share_strict` and
    `share_loose` those of its instructions, `instruction_1`, `instruction_2`, ... say of each, in the reference's
    order, whether it is followed in the mode asked for: what the method `mapl` takes apart.
    """
    instructions = _instructions(ref)
    answer = visible(rollout.response, rollout.reasoning_marks).text
    if not answer.strip():
        return Score.floor("no_answer", "there is no text")
    strictly = [instruction.followed(answer) for instruction in instructions]
    forms = loosely(answer)
    loose = [
        strict or any(instruction.followed(form) for form in forms)
        for instruction, strict in zip(instructions, strictly, strict=True)
    ]
    aspects = {
        "strict": float(all(strictly)),
        "loose": float(all(loose)),
        "share_strict": sum(strictly) / len(instructions),
        "share_loose": sum(loose) / len(instructions),
    }
    followed_places = strictly if options.mode == "strict" else loose
    aspects |= {f"instruction_{place}": float(followed) for place, followed in enumerate(followed_places, 1)}
    failed = [
        instruction.name for instruction, followed in zip(instructions, followed_places, strict=True) if not followed
    ]
    value = aspects[options.mode if options.grade == "all" else f"share_{options.mode}"]
    return Score(value, aspects=aspects, note=", ".join(failed)[:500], feedback={"failed": failed})
