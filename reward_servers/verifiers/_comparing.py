"""What verifiers that compare the responses of a group share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Field

from reward_servers import CallerError, DatasetError, Fault, FaultError, Options, Rollout, Score
from reward_servers.verifiers._shown import has_pictures, is_empty, shown

T = TypeVar("T")
_LONGEST = 1 << 18
"""Bytes of a response that is compared: what the judge takes."""


class ComparingOptions(Options):
    """What the judge is told when it compares."""

    criteria: str = Field("", description="What the judge compares by; empty for its own sentence.")
    show_reference: bool = Field(True, description="Whether the judge sees the reference answer.")
    show_reasoning: bool = Field(False, description="Whether the judge sees reasoning, or only what is visible.")
    show_images: bool = Field(
        True, description="Whether the judge sees the pictures of the prompt; those of a response it cannot compare."
    )
    model: str = Field("", description="Which of the judge's models is asked; empty for one drawn by the seed.")
    least_mass: float = Field(
        0.5, ge=0, le=1, description="What the verdicts' probabilities must reach together, where they are known."
    )
    max_reasks: int = Field(2, ge=0, le=5, description="How often an unusable reply is asked again.")
    min_valid: float = Field(
        0.0, ge=0, le=1, description="Share of a rollout's comparisons that must be valid; below it there is no score."
    )

    def for_judge(self) -> dict[str, Any]:
        """The options that the judge has too."""
        return self.model_dump(
            include={"criteria", "show_reference", "show_reasoning", "show_images", "model", "least_mass", "max_reasks"}
        )


@dataclass(slots=True)
class Tally:
    """What became of one rollout's comparisons."""

    won: float = 0.0
    valid: int = 0
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    faults: list[FaultError] = field(default_factory=list)

    def add(self, against: Sequence[str], share: float | FaultError) -> None:
        """Note a comparison with others."""
        named = against[0] if len(against) == 1 else list(against)
        if isinstance(share, FaultError):
            self.faults.append(share)
            self.comparisons.append({"against": named, "fault": share.code})
        else:
            self.won += share
            self.valid += 1
            self.comparisons.append({"against": named, "won": share})

    def judgement(self, min_valid: float, score: float | None = None) -> Score | Fault:
        """The rollout's score, by default its share of what was won, or why there is none.

        Args:
            min_valid: Share of the comparisons that must be valid.
            score: What follows from the comparisons of the whole group.
        """
        asked = len(self.comparisons)
        if not asked:
            message = "no comparison involves this rollout; a group needs two, and max_pairs half of its size"
            return CallerError(message, code="no_comparison").to_fault()
        if self.valid == 0 or self.valid < min_valid * asked:
            cause = next((fault for fault in self.faults if not fault.retryable), self.faults[0])
            fault = cause.to_fault()
            fault.message = f"{self.valid} of {asked} comparisons are valid; {cause}"
            return fault
        aspects = {"valid_pairs": float(self.valid), "asked_pairs": float(asked), "won": self.won / self.valid}
        return Score(aspects["won"] if score is None else score, aspects=aspects, evidence={"pairs": self.comparisons})


def texts_of(rollouts: Sequence[Rollout], options: ComparingOptions) -> list[str]:
    """What is shown of each response."""
    return [shown(rollout, reasoning=options.show_reasoning) for rollout in rollouts]


def out_of_contest(rollout: Rollout, text: str, *, images: bool) -> str:
    """Why a response loses without being compared; empty when it is to be compared.

    Args:
        rollout: The rollout.
        text: What is shown of it.
        images: Whether the one that compares is to see pictures.
    """
    if is_empty(rollout, text, transcript=False, images=images):
        return "no_answer"
    return "limit" if len(rollout.response.encode("utf-8", "replace")) > _LONGEST else ""


def unseen_pictures(rollouts: Iterable[Rollout]) -> CallerError | None:
    """The fault of a comparison for which a judge would have to see pictures of a response; None where it has none.

    The judge says so of the response that it is asked about. Of one that is named as its opponent it is told the text.
    """
    if not any(has_pictures(one, transcript=False) for one in rollouts):
        return None
    return CallerError(
        "options.show_images: a comparison shows no pictures of a response; set show_images = false to compare texts",
        code="unsupported_media",
    )


def with_reference(rollout: Rollout, **more: Any) -> bytes:
    """The rollout's reference with further fields.

    Raises:
        DatasetError: It is no JSON object.
    """
    try:
        known = json.loads(rollout.reference or b"{}")
    except ValueError as error:
        raise DatasetError(f"reference: it is not JSON: {error}") from None
    if isinstance(known, str | int | float):
        known = {"answer": known}
    if not isinstance(known, Mapping):
        raise DatasetError("reference: it is not a JSON object")
    return json.dumps({**known, **more}).encode()


async def settled(tasks: Sequence[Awaitable[T]]) -> list[T | FaultError]:
    """The results, faults among them; any other error is a defect and is raised."""
    results: list[T | FaultError] = []
    for one in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(one, BaseException) and not isinstance(one, FaultError):
            raise one
        results.append(one)
    return results
