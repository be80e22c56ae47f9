"""`Record`: what a client keeps of a training run."""

from __future__ import annotations

from dataclasses import dataclass

from trainer_client._errors import RecipeError


@dataclass(frozen=True, slots=True)
class Record:
    """What is written of each step, and where.

    Attributes:
        folder: where; it is made where it is missing.
        rollouts: rollouts of a step at most, in whole groups: those whose ids have the lowest SHA-256.
        evidence: whether to write what the verifiers extracted and compared; it may quote hidden tests.
        max_bytes: size of the folder at most; later steps are counted and not written.
    """

    folder: str
    rollouts: int = 256
    evidence: bool = True
    max_bytes: int = 1 << 30

    def __post_init__(self) -> None:
        if not self.folder:
            raise RecipeError('is missing; name a folder, such as folder = "record"', "record.folder")
        for name in ("rollouts", "max_bytes"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{getattr(self, name)} is not a positive number", f"record.{name}")
