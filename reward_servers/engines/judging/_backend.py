"""What a judge is asked through: an endpoint, a model in this process, or a recording of either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any
from typing import Protocol as Interface

from reward_servers.engines.judging._asks import Spelling
from reward_servers.engines.judging._completion import Completion, Message


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """One completion that is asked for.

    Attributes:
        messages: The conversation.
        spelling: How a judge that can only choose writes its verdict; None where free text is wanted.
        seed: Seed that is sent along; None for none.
        sample: Which of several completions of one conversation it is.
        logprobs: Whether the probabilities of the tokens are needed.
        schema: What a reply that is a JSON object looks like; None where free text is asked for.
    """

    messages: Sequence[Message]
    spelling: Spelling | None = None
    seed: int | None = None
    sample: int = 0
    logprobs: bool = False
    schema: Mapping[str, Any] | None = None


class Backend(Interface):
    """A model that can be asked."""

    @property
    def identity(self) -> str:
        """What its completions depend on beside what is asked: the model and its parameters."""

    async def ask(self, request: CompletionRequest, *, budget: float, jitter: Random) -> Completion:
        """Ask for one completion.

        Args:
            request: What is asked.
            budget: Seconds that it may take; the wait for a first place does not count.
            jitter: Spreads the attempts of many requests.

        Raises:
            ChatUnavailableError: There was none within the budget.
            ChatRejectedError: Trying again is no use.
        """

    def facts(self) -> Mapping[str, str]:
        """What is known of each place where it runs, for an operator."""

    async def close(self) -> None:
        """Give back what it holds."""
