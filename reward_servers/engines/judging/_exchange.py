"""The whole exchange with a judge about one question: the question, its re-asks, and every reply."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from time import monotonic
from typing import Any

from reward_servers.engines.judging._chat import ChatClient
from reward_servers.engines.judging._completion import Completion, Message
from reward_servers.engines.judging._parse import parse_reply
from reward_servers.engines.judging._question import TEMPLATE, Question
from reward_servers.engines.judging._reply import Reply, Status

__all__ = ["Exchange"]

_LONG = 1 << 15
"""Characters that are read beside the event loop and not on it."""
_FAILURES = {
    Status.REFUSAL.value: "refused",
    Status.AMBIGUOUS.value: "ambiguous",
    Status.TRUNCATED.value: "truncated",
    Status.EMPTY.value: "empty",
}


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
    """

    question: Question
    replies: list[dict[str, Any]] = field(default_factory=list)
    served_by: dict[str, str] = field(default_factory=dict)
    prompt: str = ""
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    value: Any = None

    async def run(self, chat: ChatClient, *, reasks: int, budget: float, send_seed: bool = True) -> Reply:
        """Holds the exchange.

        Args:
            chat: The endpoint.
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
            sent = (seed + attempt) % (1 << 31) if send_seed else None
            self.calls += 1
            completion = await chat.ask(messages, budget=ends - monotonic(), seed=sent, jitter=jitter)
            self.input_tokens += completion.input_tokens
            self.output_tokens += completion.output_tokens
            self.served_by = {"model": completion.model, "fingerprint": completion.fingerprint}
            reply = await self._read(completion)
            self.replies.append(
                {
                    "status": reply.status.value,
                    "text": completion.text,
                    "planted": reply.injection_detected,
                    "channel": reply.channel.value,
                    "finish_reason": completion.finish_reason,
                }
            )
            self.value = reply.value
            if reply.status is Status.OK or completion.finish_reason == "content_filter":
                break
            said: Message = {"role": "assistant", "content": completion.text or "(nothing)"}
            messages = [*opening, said, self.question.again()]
        return reply

    async def _read(self, completion: Completion) -> Reply:
        finish_reason = "content_filter" if completion.finish_reason == "refusal" else completion.finish_reason

        def read() -> Reply:
            return parse_reply(
                completion.text,
                self.question.protocol,
                finish_reason=finish_reason,
                candidate_texts=self.question.responses,
                token=self.question.token,
            )

        # What a candidate wrote may be long and odd. Reading it must not hold up those who wait on the event loop.
        long = len(completion.text) + sum(map(len, self.question.responses)) > _LONG
        return await asyncio.to_thread(read) if long else read()

    def evidence(self) -> dict[str, Any]:
        """The exchange as data; the prompt follows from the item, so its digest stands for it."""
        usage = {"calls": self.calls, "input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return {
            **self.served_by,
            "template": TEMPLATE,
            "prompt": self.prompt,
            "replies": self.replies,
            "usage": usage,
        }

    @property
    def failure(self) -> str:
        """What kept the exchange from a verdict, in a word; empty when it has one."""
        if not self.replies:
            return "empty"
        last = self.replies[-1]
        if last["status"] == Status.OK.value:
            return ""
        if last["finish_reason"] == "content_filter":
            return "filtered"
        return _FAILURES.get(str(last["status"]), "unparsed")

    @property
    def repeats_plants(self) -> bool:
        """Whether some reply repeats a verdict that stands in a judged text."""
        return any(one["planted"] for one in self.replies)

    def planters(self) -> tuple[bool, ...]:
        """For each judged response, whether some reply repeats a verdict that stands in it."""
        return tuple(
            any(
                parse_reply(one["text"], self.question.protocol, candidate_texts=(text,)).injection_detected
                for one in self.replies
                if one["planted"]
            )
            for text in self.question.responses
        )
