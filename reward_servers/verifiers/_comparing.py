"""Shared code of the verifiers that compare the responses of a group."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import Field

from reward_servers import CallerError, DatasetError, Fault, FaultError, Rollout, Score, Verdict
from reward_servers.core._lengths import longer
from reward_servers.verifiers._judge_options import JudgingOptions
from reward_servers.verifiers._judge_pictures import blobs_of, pictures_of
from reward_servers.verifiers._shown import is_empty, reader_view

T = TypeVar("T")
_LONGEST = 1 << 18
"""Bytes of a response that is compared: what the judge takes."""


class ComparingOptions(JudgingOptions):
    """Options of the judge for comparisons."""

    criteria: str = Field("", description="What the judge compares by; empty for its own sentence.")
    min_valid: float = Field(
        0.0, ge=0, le=1, description="Share of a rollout's comparisons that must be valid; below it there is no score."
    )

    def for_judge(self) -> dict[str, Any]:
        """The options that are passed on to the judge."""
        return {**super().for_judge(), "criteria": self.criteria}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A response in the form in which it is compared.

    Attributes:
        rollout: The rollout.
        text: The part of its text that the judge sees.
        pictures: Those of its pictures that the judge sees.
        out: Why it loses without being compared; empty when it is to be compared.
    """

    rollout: Rollout
    text: str
    pictures: tuple[bytes, ...]
    out: str

    @property
    def same_as(self) -> tuple[str, tuple[bytes, ...]]:
        """The key that equal responses share."""
        return self.text, self.pictures

    @property
    def told(self) -> str | dict[str, Any]:
        """This response as the opponent in a question about another one."""
        if not self.pictures:
            return self.text
        return {"text": self.text, "images": [b64encode(picture).decode("ascii") for picture in self.pictures]}


async def contestants(rollouts: Sequence[Rollout], options: JudgingOptions, *, images: bool) -> list[Contestant]:
    """The responses of a group in the form in which they are compared.

    Args:
        rollouts: The rollouts.
        options: What is shown of each.
        images: Whether the one that compares is to see pictures.
    """
    return [await _contestant(rollout, options, images=images) for rollout in rollouts]


async def _contestant(rollout: Rollout, options: JudgingOptions, *, images: bool) -> Contestant:
    transcript = options.show_transcript
    text = reader_view(rollout, transcript=transcript, reasoning=options.show_reasoning)
    pictures: tuple[bytes, ...] = ()
    out = ""
    if is_empty(rollout, text, transcript=transcript, images=images):
        out = "no_answer"
    elif longer(rollout.content, _LONGEST):
        out = "limit"
    elif images:
        messages = rollout.messages if transcript else rollout.messages[-1:]
        pictures = tuple(blobs_of(messages))
        out = await _refused(rollout, transcript=transcript) if pictures else ""
    return Contestant(rollout, text, pictures, out)


async def _refused(rollout: Rollout, *, transcript: bool) -> str:
    """Why the pictures of a response cannot be shown; empty when they can."""
    try:
        refused = (await pictures_of(rollout, transcript=transcript)).refused
    except DatasetError:
        # The picture is one of the prompt. The judge reports it when it is asked.
        return ""
    except ImportError:
        # The server that hosts the judge reads the pictures.
        return ""
    return "" if refused is None else refused.code


@dataclass(slots=True)
class Tally:
    """The results of one rollout's comparisons."""

    won: float = 0.0
    valid: int = 0
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    faults: list[FaultError] = field(default_factory=list)

    def add(self, against: Sequence[str], share: float | FaultError, orders: Sequence[Mapping[str, Any]] = ()) -> None:
        """Note a comparison with others.

        Args:
            against: Their names.
            share: The share that the rollout won, or the fault of a comparison without a verdict.
            orders: Evidence of the verdicts that decided it.
        """
        noted: dict[str, Any] = {"against": against[0] if len(against) == 1 else list(against)}
        if isinstance(share, FaultError):
            self.faults.append(share)
            noted |= evidence_of(share)
        else:
            self.won += share
            self.valid += 1
            noted["won"] = share
        self.comparisons.append({**noted, "judged": list(orders)} if orders else noted)

    def judgement(self, min_valid: float, score: float | None = None) -> Score | Fault:
        """The rollout's score, by default the share of its comparisons that it won; the fault if there is no score.

        Args:
            min_valid: Share of the comparisons that must be valid.
            score: The score that follows from the comparisons of the whole group.
        """
        total = len(self.comparisons)
        if not total:
            message = "no comparison involves this rollout; a group needs two, and max_pairs half of its size"
            return CallerError(message, code="no_comparison").to_fault()
        if self.valid == 0 or self.valid < min_valid * total:
            cause = next((fault for fault in self.faults if not fault.retryable), self.faults[0])
            fault = cause.to_fault()
            fault.message = f"{self.valid} of {total} comparisons are valid; {cause}"
            return fault
        aspects = {"valid_pairs": float(self.valid), "asked_pairs": float(total), "won": self.won / self.valid}
        return Score(aspects["won"] if score is None else score, aspects=aspects, evidence={"pairs": self.comparisons})


def evidence_of(outcome: Verdict | FaultError) -> dict[str, Any]:
    """What a single verdict, or a fault in its place, leaves as evidence in one of several."""
    content = outcome.evidence if isinstance(outcome.evidence, bytes) else json.dumps(outcome.evidence).encode()
    evidence = json.loads(content) if content else {}
    if isinstance(outcome, FaultError):
        return {"fault": outcome.code, "message": str(outcome), **({"evidence": evidence} if evidence else {})}
    return {"score": outcome.score, "code": outcome.code, **({"evidence": evidence} if evidence else {})}


def with_reference(rollout: Rollout, **more: Any) -> bytes:
    """The rollout's reference with further fields.

    Raises:
        DatasetError: It is no JSON object.
    """
    try:
        reference = json.loads(rollout.reference or b"{}")
    except ValueError as error:
        raise DatasetError(f"reference: it is not JSON: {error}") from None
    if isinstance(reference, str | int | float):
        reference = {"answer": reference}
    if not isinstance(reference, Mapping):
        raise DatasetError("reference: it is not a JSON object")
    return json.dumps({**reference, **more}).encode()


async def settled(tasks: Sequence[Awaitable[T]]) -> list[T | FaultError]:
    """The results, faults among them; any other error is a defect and is raised."""
    results: list[T | FaultError] = []
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, FaultError):
            raise result
        results.append(result)
    return results
