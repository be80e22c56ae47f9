"""The model that is asked, through the judge's own transport, limits and recording, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from reward_servers.engines.judging import (
    Backend,
    ChatRejectedError,
    ChatUnavailableError,
    Completion,
    Exchange,
    Protocol,
    Question,
    WritingTask,
    write,
)

_STOPPING = {
    "budget": "what may be spent is used up",
    "rejected": "the endpoint refuses",
    "not_recorded": "the recording has no more",
}


class ModelUnavailableError(Exception):
    """The model cannot be asked any further; what it has said so far is kept. The message says how to go on."""


@dataclass(slots=True)
class MeteredModel:
    """The model, and a tally.

    Attributes:
        backend: The model.
        seed: Of everything that is drawn.
        budget: Seconds for one question, with its re-asks.
        reasks: How often a reply that cannot be read is asked again.
        send_seed: Whether requests carry a seed.
        calls: Completions, those of the recording included.
        input_tokens: Their tokens read.
        output_tokens: Their tokens written.
        cost: What they cost.
        model: The model's own name.
        lost: Questions without a usable reply, by reason.
    """

    backend: Backend
    seed: int = 0
    budget: float = 240.0
    reasks: int = 2
    send_seed: bool = True
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    model: str = ""
    lost: Counter[str] = field(default_factory=Counter)

    async def write(self, task: str, material: Mapping[str, str], example: Mapping[str, Any]) -> dict[str, Any] | None:
        """Have an object written about material; None where this item cannot be worked on, which is counted.

        Raises:
            ModelUnavailableError: No further item could be.
        """
        task_asked = WritingTask(task, material, example, self.seed_of(task, *material.values()))
        try:
            result = await write(
                task_asked, self.backend, reasks=self.reasks, budget=self.budget, send_seed=self.send_seed
            )
        except ChatUnavailableError as error:
            raise ModelUnavailableError(f"the model cannot be reached: {error}") from None
        except ChatRejectedError as error:
            self._without(error)
            return None
        for completion in result.completions:
            self._count(completion)
        if result.value is None:
            self.lost["unreadable"] += 1
        return result.value

    async def meets(self, criterion: str, prompt: str, response: str) -> bool | None:
        """Whether a response meets a criterion, as the judge says; None where it gives no verdict, which is counted.

        Raises:
            ModelUnavailableError: No further item could be asked about.
        """
        seed = self.seed_of(prompt, response)
        question = Question(Protocol.BINARY, criterion, prompt, (response,), seed=seed, trusts_prompt=False)
        exchange = Exchange(question)
        try:
            await exchange.run(self.backend, reasks=self.reasks, budget=self.budget, send_seed=self.send_seed)
        except ChatUnavailableError as error:
            raise ModelUnavailableError(f"the model cannot be reached: {error}") from None
        except ChatRejectedError as error:
            self._without(error)
            return None
        finally:
            self.calls += exchange.calls
            self.input_tokens += exchange.input_tokens
            self.output_tokens += exchange.output_tokens
            self.cost += exchange.cost
        if exchange.failure:
            self.lost[exchange.failure] += 1
            return None
        return bool(exchange.value)

    def seed_of(self, *texts: str) -> int:
        """A seed that follows from the run's seed and some texts."""
        state = blake2b(digest_size=8, key=self.seed.to_bytes(8, "big"))
        for text in texts:
            state.update(text.encode("utf-8", "replace") + b"\0")
        return int.from_bytes(state.digest(), "big")

    def _without(self, error: ChatRejectedError) -> None:
        if error.reason in _STOPPING:
            raise ModelUnavailableError(f"{_STOPPING[error.reason]}: {error}") from None
        self.lost[error.reason] += 1

    def _count(self, completion: Completion) -> None:
        self.calls += 1
        self.input_tokens += completion.input_tokens
        self.output_tokens += completion.output_tokens
        self.cost += completion.cost
        self.model = completion.model or self.model
