"""What a judge may cost: reserved before a call, and never exceeded."""

from __future__ import annotations

from dataclasses import dataclass


class SpendExceeded(Exception):
    """The call could exceed what may be spent."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a million tokens, in any currency."""

    input: float = 0.0
    output: float = 0.0

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """The price of a call."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(slots=True)
class Spend:
    """Requests, tokens and money of one server since its start; 0 for no bound.

    Attributes:
        max_requests: Requests at most.
        max_tokens: Tokens at most, read and written.
        max_cost: Money at most.
        prices: What tokens cost.
        requests: Requests made or reserved.
        tokens: Tokens used or reserved.
        cost: Money spent or reserved.
    """

    max_requests: int = 0
    max_tokens: int = 0
    max_cost: float = 0.0
    prices: Prices = Prices()
    requests: int = 0
    tokens: int = 0
    cost: float = 0.0

    def reserve(self, input_tokens: int, output_tokens: int) -> tuple[int, float]:
        """Set aside what a call can cost at most.

        Raises:
            SpendExceeded: That is more than is left; names the bound.
        """
        tokens, cost = input_tokens + output_tokens, self.prices.of(input_tokens, output_tokens)
        for name, wanted, most in (
            ("max_requests", self.requests + 1, self.max_requests),
            ("max_tokens", self.tokens + tokens, self.max_tokens),
            ("max_cost", self.cost + cost, self.max_cost),
        ):
            if most and wanted > most:
                raise SpendExceeded(f"spend.{name} = {most:g} would be exceeded")
        self.requests += 1
        self.tokens += tokens
        self.cost += cost
        return tokens, cost

    def release(self, reserved: tuple[int, float]) -> None:
        """Give back everything: the endpoint did not take the call. The request still counts."""
        self.tokens -= reserved[0]
        self.cost -= reserved[1]

    def settle(self, reserved: tuple[int, float], input_tokens: int, output_tokens: int) -> None:
        """Give back what a call did not use. A call that told no usage keeps its reservation."""
        if input_tokens or output_tokens:
            self.tokens += input_tokens + output_tokens - reserved[0]
            self.cost += self.prices.of(input_tokens, output_tokens) - reserved[1]
