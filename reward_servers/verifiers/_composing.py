"""Shared code of the verifiers that ask another verifier several questions about one response."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reward_servers import FaultError, Score, Verdict
from reward_servers.verifiers._comparing import settled


@dataclass(slots=True)
class Replies:
    """The verdicts on some questions, and the faults of those that got none."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    faults: dict[str, FaultError] = field(default_factory=dict)

    @property
    def provoked(self) -> Score | None:
        """The floor if the response provably made the other verifier fail on some question."""
        for verdict in self.verdicts.values():
            if verdict.code.startswith("provoked_"):
                # Its floor could be a gain here: that of a criterion that costs when it is met.
                return Score.floor(verdict.code, verdict.note, {"judge": verdict.evidence.decode()})
        return None

    def stop(self, label: str) -> Score | None:
        """The floor, where the response provoked a failure; None where every question has its verdict.

        Args:
            label: What the questions are, in the plural.

        Raises:
            FaultError: A question got no verdict: that is no reward of 0.
        """
        if self.provoked is None and self.faults:
            raise self.fault(label)
        return self.provoked

    def fault(self, label: str, lost: str = "") -> FaultError:
        """One fault for all questions. A fault that another try cannot mend takes precedence.

        Args:
            label: What the questions are, in the plural.
            lost: The weight that is missing with them, for questions of different weight.
        """
        total = len(self.verdicts) + len(self.faults)
        worst = next((fault for fault in self.faults.values() if not fault.retryable), next(iter(self.faults.values())))
        names = ", ".join(f"{name} ({fault.code})" for name, fault in self.faults.items())
        waits = [fault.retry_after for fault in self.faults.values() if fault.retry_after is not None]
        return type(worst)(
            f"{len(self.faults)} of {total} {label} got no verdict: {names}; {lost}{'; ' if lost else ''}{worst}",
            code=worst.code,
            retryable=worst.retryable,
            retry_after=max(waits) if worst.retryable and waits else None,
            evidence=worst.evidence,
        )


async def replies_to(questions: Mapping[str, Awaitable[Verdict]]) -> Replies:
    """Wait for the answers to some questions, asked side by side.

    Args:
        questions: By name.
    """
    answers: list[Any] = await settled(list(questions.values()))
    replies = Replies()
    for name, reply in zip(questions, answers, strict=True):
        if isinstance(reply, FaultError):
            replies.faults[name] = reply
        else:
            replies.verdicts[name] = reply
    return replies
