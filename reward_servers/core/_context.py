"""The context of an item: its seed, its deadline, its logger, and the way to ask another verifier."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from reward_servers.core._errors import ServiceError
from reward_servers.core._model import Rollout, check_subject
from reward_servers.core._outcomes import Usage, Verdict

_COUNTS = ("upstream_calls", "input_tokens", "output_tokens")
_LARGEST = (1 << 63) - 1


@dataclass(slots=True, frozen=True)
class VerifierId:
    """Which verifier, exactly: its name, version and digest."""

    name: str
    version: str
    digest: str


Ask = Callable[["Context", str, Rollout, bytes | None, Mapping[str, Any]], Awaitable[tuple[Verdict, VerifierId]]]
"""Asks another verifier about a rollout; raises a fault error when it gives no verdict."""


def item_seed(seed: int, rollout_id: str, verifier: str) -> int:
    """The seed of one item: the same for the same run, rollout and verifier, whatever the batch."""
    text = f"{seed}\0{rollout_id}\0{verifier}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big")


@dataclass(slots=True)
class Context:
    """What a verifier may use beside the rollout.

    Attributes:
        verifier: Name of the verifier that runs.
        rollout_id: The rollout, or the group for a group verifier.
        run_seed: Seed of the run.
        deadline: When the caller stops waiting, on the monotonic clock; None for never.
        usage: What the item has cost so far; verifiers that call models add to it.
        used: The verifiers that were asked, by name; recorded in the evidence.
        elsewhere: Whether a verifier on another server was asked, by those that were asked too. It may be upgraded at
            any moment, so what rests on it is not kept for later callers.
    """

    verifier: str
    rollout_id: str = ""
    run_seed: int = 0
    deadline: float | None = None
    usage: Usage = field(default_factory=Usage)
    used: dict[str, VerifierId] = field(default_factory=dict)
    ask: Ask | None = None
    elsewhere: bool = False

    @property
    def seed(self) -> int:
        """The item's seed."""
        return item_seed(self.run_seed, self.rollout_id, self.verifier)

    @property
    def logger(self) -> logging.Logger:
        """The verifier's logger."""
        return logging.getLogger(f"assay.verifier.{self.verifier}")

    def spent(self, cpu_us: int = 0) -> Usage:
        """What the item has cost, as it can be sent: what a verifier has set to no number counts as nothing.

        Args:
            cpu_us: CPU time, in microseconds.
        """
        usage = self.usage
        calls, tokens_in, tokens_out = (self._count(name, getattr(usage, name, 0)) for name in _COUNTS)
        return Usage(cpu_us, calls, tokens_in, tokens_out, self._number("cost", getattr(usage, "cost", 0.0)))

    def _count(self, name: str, value: Any) -> int:
        return min(int(self._number(name, value)), _LARGEST)

    def _number(self, name: str, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if 0 <= number < math.inf:
            return value if isinstance(value, int) else number
        self.logger.warning("usage.%s is %.100r, which is no amount; it counts as 0", name, value)
        return 0

    def remaining(self) -> float | None:
        """Seconds until the caller stops waiting; None when it never does."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    async def score(
        self,
        verifier: str,
        rollout: Rollout,
        *,
        reference: bytes | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Verdict:
        """Ask another verifier. Deadline and seed are inherited, its version is recorded.

        Args:
            verifier: Its name: one hosted here, or one that the settings give an endpoint for.
            rollout: What to judge.
            reference: JSON that replaces the rollout's reference; None keeps it.
            options: Options of the other verifier.

        Returns:
            Its verdict.

        Raises:
            FaultError: It gave no verdict. The fault is its own: let it pass to keep whose failure it was.
            TypeError: What is to be judged is no rollout as verifiers are shown them.
        """
        check_subject(rollout)
        if self.ask is None:
            raise ServiceError(
                f"{self.verifier} cannot ask {verifier} from a worker process; declare it with `async def`",
                code="cannot_compose",
            )
        verdict, identity = await self.ask(self, verifier, rollout, reference, options or {})
        self.used[identity.name] = identity
        return verdict
