"""What a judge may cost: reserved before a call, and never exceeded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field


class SpendExceededError(Exception):
    """The call could exceed what may be spent."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a million tokens, in any currency."""

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The price of a call."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Reserved:
    """What one call may use of the spend at most."""

    tokens: int
    cost: float


@dataclass(slots=True)
class Spend:
    """Requests, tokens and money of one server since its start; 0 for no bound.

    Attributes:
        max_requests: Requests at most.
        max_tokens: Tokens at most, read and written.
        max_cost: Money at most.
        prices: What tokens cost.
        requests: Requests made or reserved.
        tokens: Tokens used.
        cost: Money spent.
    """

    max_requests: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    prices: Prices = Prices()
    requests: int = 0
    tokens: int = 0
    cost: float = 0.0
    _held: list[Reserved] = field(default_factory=list)
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def reserve(self, input_tokens: int, output_tokens: int) -> Reserved:
        """Set aside what a call can cost at most; wait while only calls under way are in its way.

        Raises:
            SpendExceededError: That is more than is left; names the bound.
        """
        reservation = Reserved(input_tokens + output_tokens, self.prices.of(input_tokens, output_tokens))
        while True:
            self._check(reservation)
            if self._exceeded(reservation, self._held) is None:
                self.requests += 1
                self._held.append(reservation)
                return reservation
            # What they do not use comes back when they are done.
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn

    def release(self, reserved: Reserved) -> None:
        """Give back everything: the endpoint did not take the call. The request still counts."""
        self._held.remove(reserved)
        self._wake()

    def settle(self, reserved: Reserved, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Count what a call used; all that was set aside for one that told no usage."""
        reported = bool(input_tokens or output_tokens)
        self.tokens += input_tokens + output_tokens if reported else reserved.tokens
        self.cost += self.prices.of(input_tokens, output_tokens) if reported else reserved.cost
        self.release(reserved)

    def _check(self, reservation: Reserved) -> None:
        exceeded = self._exceeded(reservation, ())
        if exceeded is not None:
            raise SpendExceededError(f"spend.{exceeded[0]} = {exceeded[1]:g} would be exceeded")

    def _exceeded(self, reservation: Reserved, reservations: Sequence[Reserved]) -> tuple[str, float] | None:
        """The first bound that a call would exceed beside those that are held."""
        all_reservations = [*reservations, reservation]
        tokens, cost = (sum(side.tokens for side in all_reservations), sum(side.cost for side in all_reservations))
        for name, reached, most in (
            ("max_requests", self.requests + 1, self.max_requests),
            ("max_tokens", self.tokens + tokens, self.max_tokens),
            ("max_cost", self.cost + cost, self.max_cost),
        ):
            if most and reached > most:
                return name, most
        return None

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)
