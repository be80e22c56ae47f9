"""The whole exchange with a judge about one question: the question, its re-asks, and every reply."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from time import monotonic
from typing import Any

from reward_servers.engines.judging._asks import values_of
from reward_servers.engines.judging._backend import Backend, CompletionRequest
from reward_servers.engines.judging._completion import Completion, Message
from reward_servers.engines.judging._ending import Ending
from reward_servers.engines.judging._expected import probabilities
from reward_servers.engines.judging._question import Question
from reward_servers.engines.judging._reply import Reply, Status

_LONG = 1 << 15
"""Characters that are read beside the event loop and not on it."""
_KEPT = 1 << 16
"""Characters of a reply that evidence and the next question hold at most; an endpoint may send many more."""
_FAILURES = {
    Status.REFUSAL.value: "refused",
    Status.AMBIGUOUS.value: "ambiguous",
    Status.TRUNCATED.value: "truncated",
    Status.EMPTY.value: "empty",
}


def _is_filtered(finish_reason: str) -> bool:
    """Whether a filter stopped the reply, and not the model itself."""
    return finish_reason != "refusal" and Ending.of(finish_reason) is Ending.FILTERED


def _without_middle(text: str) -> str:
    left_out = len(text) - _KEPT
    half = _KEPT // 2
    return text if left_out <= 0 else f"{text[:half]}\n[{left_out} characters left out]\n{text[-half:]}"


def _is_final(finish_reason: str) -> bool:
    """Whether another question, which would only be longer, is of no use."""
    return _is_filtered(finish_reason) or Ending.of(finish_reason) is Ending.OVERFLOWED


@dataclass(slots=True)
class Exchange:
    """Asks until a reply can be used; what happened stays readable when that fails.

    Attributes:
        question: What is asked.
        replies: Every reply with its status.
        served_by: Model and configuration, as the endpoint names them.
        prompt: Digest of the conversation that began it.
        calls: Completions asked for.
        input_tokens: Their tokens read.
        output_tokens: Their tokens written.
        value: The verdict; None as long as there is none.
        expected: Whether the probabilities of the verdicts are needed.
        min_mass: What they must reach together where they are known.
        probabilities: Of the verdicts, where they are known.
        unweighed: Why they cannot be used, in a word.
        blamed: Places of the responses that provably made the judge fail.
        cost: What the completions cost, in the currency of the operator's prices.
        argued: The exchanges about the response in which arguments were asked for beside or before this one, by name.
    """

    question: Question
    replies: list[dict[str, Any]] = field(default_factory=list)
    served_by: dict[str, str] = field(default_factory=dict)
    prompt: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    value: Any = None
    expected: bool = False
    min_mass: float = 0.5
    probabilities: dict[Any, float] = field(default_factory=dict)
    unweighed: str = ""
    blamed: tuple[int, ...] = ()
    cost: float = 0.0
    argued: Mapping[str, Exchange] = field(default_factory=dict, repr=False)
    _repeated: list[tuple[bool, ...]] = field(default_factory=list, repr=False)

    async def run(self, backend: Backend, *, reasks: int, budget: float, send_seed: bool = True) -> Reply:
        """Hold the exchange.

        Args:
            backend: The judge.
            reasks: How often an unusable reply is asked again.
            budget: Seconds for everything.
            send_seed: Whether requests carry a seed, another one for each re-ask.

        Returns:
            The first usable reply, or the last one.

        Raises:
            ChatError: The endpoint gave no completion.
        """
        ends = monotonic() + budget
        seed = self.question.seed
        jitter = Random(seed)  # noqa: S311 - spreads retries, protects nothing
        opening = self.question.messages()
        encoded = json.dumps(opening, ensure_ascii=False).encode("utf-8", "replace")
        self.prompt = f"sha256:{sha256(encoded).hexdigest()}"
        messages = opening
        for attempt in range(1 + reasks):
            attempt_seed = (seed + attempt) % (1 << 31) if send_seed else None
            self.calls += 1
            request = CompletionRequest(
                messages, self.question.spelling, attempt_seed, attempt, self.expected, self.question.schema
            )
            completion = await backend.ask(request, budget=ends - monotonic(), jitter=jitter)
            self.input_tokens += completion.input_tokens
            self.output_tokens += completion.output_tokens
            self.cost += completion.cost
            self.served_by = {"model": completion.model, "fingerprint": completion.fingerprint}
            reply = await self._read(completion)
            self.replies.append(
                {
                    "status": reply.status.value,
                    "text": _without_middle(completion.text),
                    "planted": reply.injection_detected,
                    "channel": reply.channel.value,
                    "finish_reason": completion.finish_reason,
                }
            )
            self.value = reply.value
            if reply.status is Status.OK and (completion.tokens or self.expected) and not self.question.argues:
                await asyncio.to_thread(self._weigh, completion)
            if reply.status is Status.OK or _is_final(completion.finish_reason):
                break
            answer: Message = {"role": "assistant", "content": _without_middle(completion.text) or "(nothing)"}
            messages = [*opening, answer, self.question.again()]
        return reply

    async def _read(self, completion: Completion) -> Reply:
        finish_reason = completion.finish_reason
        # What a candidate wrote may be long and odd. Reading it must not hold up those who wait on the event loop.
        prompt = 0 if self.question.trusts_prompt else len(self.question.prompt)
        if len(completion.text) + prompt + sum(map(len, self.question.responses)) > _LONG:
            return await asyncio.to_thread(self._read_one, completion.text, finish_reason)
        return self._read_one(completion.text, finish_reason)

    def _read_one(self, text: str, finish_reason: str) -> Reply:
        reply = self._parsed(text, finish_reason)
        if reply.injection_detected:
            self._repeated.append(self.question.repeats(text))
        return reply

    def _parsed(self, text: str, finish_reason: str) -> Reply:
        return self.question.read(text, finish_reason, self.question.material)

    def _weigh(self, completion: Completion) -> None:
        """Take the verdicts' probabilities, where they are needed or told."""
        if not completion.tokens or self.question.protocol.keyed:
            self.unweighed = "no_logprobs" if self.expected else ""
            return
        chances = probabilities(
            completion.tokens, self.value, values_of(self.question.protocol, self.question.keys), self._value_of
        )
        if chances is None:
            self.unweighed = "no_logprobs" if self.expected else ""
            return
        self.probabilities = chances
        if self.mass < self.min_mass:
            self.unweighed = "unsure"

    def _value_of(self, text: str) -> Any:
        return self._parsed(text, "stop").value

    @property
    def mass(self) -> float:
        """How likely the verdicts are together."""
        return sum(self.probabilities.values())

    def evidence(self) -> dict[str, Any]:
        """The exchange as data, with those in which arguments were asked for."""
        argued = {name: exchange.told() for name, exchange in self.argued.items() if exchange is not self}
        return {**self.told(), **({"argued": argued} if argued else {})}

    def told(self) -> dict[str, Any]:
        """The exchange alone; the prompt follows from the item, so only its digest is kept."""
        usage: dict[str, Any] = {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
        }
        if self.cost:
            usage["cost"] = self.cost
        chances = {str(value): round(chance, 6) for value, chance in self.probabilities.items()}
        return {
            **self.served_by,
            "template": self.question.worded,
            "prompt": self.prompt,
            "replies": self.replies,
            "usage": usage,
            **({"probabilities": chances} if chances else {}),
            **({"provoked_by": list(self.blamed)} if self.blamed else {}),
        }

    @property
    def failure(self) -> str:
        """What kept the exchange from a verdict, in a word; empty when it has one."""
        if not self.replies:
            return "empty"
        last = self.replies[-1]
        if last["status"] == Status.OK.value:
            return self.unweighed
        if _is_filtered(last["finish_reason"]):
            return "filtered"
        if Ending.of(last["finish_reason"]) is Ending.OVERFLOWED:
            return "context"
        return _FAILURES.get(str(last["status"]), "unparsed")

    @property
    def reason(self) -> str:
        """The same in a sentence."""
        if self.failure == "no_logprobs":
            return "the judge told no probabilities for the place of its verdict"
        if self.failure == "unsure":
            return f"the verdicts have a probability of {self.mass:.3g} together, of at least {self.min_mass:g}"
        statuses = ", ".join(reply["status"] for reply in self.replies)
        noun = f"argument {self.question.argues}" if self.question.argues else "verdict"
        return f"no usable {noun.replace('favour', 'in favour')} ({statuses})" if self.failure else ""

    def planters(self) -> tuple[bool, ...]:
        """For each judged response, whether some reply repeats a verdict in the judge's form that it holds."""
        return tuple(map(any, zip(*self._repeated, strict=True)))
