"""Scores the length of a response against a target or a limit."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from reward_servers import CallerError, Cost, ItemLimits, Options, Rollout, Score, verifier

_LONGEST = 1 << 19


class LengthOptions(Options):
    """The unit, the shape of the score, and its bounds.

    Attributes:
        unit: The unit that is counted. Tokens need the caller's ``token_ids``.
        shape: ``"overlong"``: 1 up to ``max - buffer``, then linear to 0 at ``max``. It is 1 plus the soft overlong
            punishment of DAPO (arXiv 2503.14476, equation 13). ``"target"``: 1 within ``tolerance`` of ``target``,
            then linear to 0 over ``decay``. ``"cosine"``: from ``start`` at length 0 to ``end`` at ``max`` along half a
            cosine (the cosine reward of arXiv 2502.03373); beyond ``max`` it is 0.
    """

    unit: Literal["characters", "words", "tokens"] = "characters"
    shape: Literal["overlong", "target", "cosine"] = "overlong"
    max: int | None = Field(None, ge=1, description="Length at which the score has ended ('overlong', 'cosine').")
    buffer: int = Field(0, ge=0, description="Length over which the score falls before `max` ('overlong').")
    target: int | None = Field(None, ge=0, description="The wanted length ('target').")
    tolerance: int = Field(0, ge=0, description="Difference from `target` that costs nothing.")
    decay: int = Field(1, ge=1, description="Difference beyond `tolerance` at which the score is 0.")
    start: float = Field(1.0, ge=0, le=1, description="Score at length 0 ('cosine').")
    end: float = Field(0.0, ge=0, le=1, description="Score at length `max` ('cosine').")

    @model_validator(mode="after")
    def _check(self) -> LengthOptions:
        needed = "target" if self.shape == "target" else "max"
        if getattr(self, needed) is None:
            raise ValueError(f"shape {self.shape!r} needs `{needed}`")
        if self.max is not None and self.buffer > self.max:
            raise ValueError("`buffer` is longer than `max`")
        return self

    def score(self, size: int) -> tuple[float, str]:
        """The score of a length, and its code."""
        if self.shape == "target":
            assert self.target is not None
            excess = max(0, abs(size - self.target) - self.tolerance)
            direction = "too_long" if size > self.target else "too_short"
            return max(0.0, 1 - excess / self.decay), direction if excess else "accepted"
        assert self.max is not None
        if self.shape == "cosine":
            if size > self.max:
                return 0.0, "too_long"
            return self.end + (self.start - self.end) * (1 + math.cos(math.pi * size / self.max)) / 2, ""
        if size <= self.max - self.buffer:
            return 1.0, "accepted"
        return (self.max - size) / self.buffer if size < self.max else 0.0, "too_long"


def _count(rollout: Rollout, unit: str) -> int:
    if unit == "tokens":
        if not rollout.token_ids and rollout.content:
            raise CallerError("unit 'tokens' counts the rollout's token_ids; send them", code="missing_token_ids")
        return len(rollout.token_ids)
    return len(rollout.response) if unit == "characters" else len(rollout.response.split())


# On the loop: counting is one pass over at most half a megabyte.
@verifier(
    "length",
    version="1",
    cost=Cost.TRIVIAL,
    limits=ItemLimits(response_bytes=_LONGEST),
    aspects={"length": float(_LONGEST)},
)
async def length(rollout: Rollout, options: LengthOptions) -> Score:
    """How close the response's length is to the target.

    Source: the soft overlong punishment of DAPO (arXiv 2503.14476) for the buffer, arXiv 2502.03373 for
    the cosine; the others are ours.
    """
    size = _count(rollout, options.unit)
    value, code = options.score(size)
    return Score(value, code, aspects={"length": float(size)}, feedback={"length": size, "unit": options.unit})
