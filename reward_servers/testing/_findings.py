"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence

from trainer_client import Cell

_SHOWN = 20


class VerifierCheckError(AssertionError):
    """A verifier breaks a law, disagrees with labels, or rewards an attempt to cheat.

    Attributes:
        findings: What was found, one line each: the law, the rollout, what came of it.
    """

    def __init__(self, verifier: str, findings: Sequence[str]) -> None:
        super().__init__(verifier, list(findings))
        self.verifier = verifier
        self.findings = list(findings)

    def __str__(self) -> str:
        lines = [f"  {finding}" for finding in self.findings[:_SHOWN]]
        more = [f"  ... and {len(self.findings) - _SHOWN} more"] if len(self.findings) > _SHOWN else []
        return "\n".join([f"{self.verifier}: {len(self.findings)} findings", *lines, *more])


def cell_text(cell: Cell) -> str:
    """A cell in a few words."""
    if cell.score is not None:
        return f"score {cell.score:g} ({cell.code})"
    party = f" of the {cell.party}" if cell.party else ""
    return f"no score: {cell.outcome.name.lower()}{party}: {cell.code}: {cell.message}"
