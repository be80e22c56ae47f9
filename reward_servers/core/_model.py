"""What a verifier is shown: rollouts and groups of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, frozen=True)
class Part:
    """One piece of a message.

    Attributes:
        kind: ``"text"``, ``"reasoning"`` or ``"blob"``.
        text: The text of a text or reasoning part.
        data: The bytes of a blob part.
        mime: The media type of a blob part.
    """

    kind: str
    text: str = ""
    data: bytes = b""
    mime: str = ""


@dataclass(slots=True, frozen=True)
class ToolCall:
    """A tool call that a message makes; ``arguments`` are as the model wrote them."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True, frozen=True)
class Message:
    """One turn of a conversation."""

    role: str
    parts: tuple[Part, ...] = ()
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""

    @property
    def text(self) -> str:
        """The visible text: text parts joined, reasoning left out."""
        return "".join(part.text for part in self.parts if part.kind == "text")


Content = str | tuple[Message, ...]
"""A prompt or a response: plain text or the messages of a conversation."""


@dataclass(slots=True, frozen=True)
class Document:
    """A document that a rollout could read and cite."""

    id: str
    text: str = ""
    title: str = ""
    uri: str = ""


@dataclass(slots=True)
class PromptContext:
    """What the rollouts of a group share.

    Attributes:
        group_id: The caller's name for the group.
        prompt: What the policy was asked.
        reference: The group's reference as JSON; empty when there is none.
        documents: Documents that every rollout of the group could read.
        size: Number of rollouts of the complete group; 0 when it is not known.
        reasoning_marks: Pairs of marks around reasoning, in addition to those that ``engines.text`` knows.
    """

    group_id: str = ""
    prompt: Content = ""
    reference: bytes = b""
    documents: tuple[Document, ...] = ()
    size: int = 0
    reasoning_marks: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Rollout:
    """One response to a prompt, as a verifier sees it.

    Attributes:
        content: The response: text, or the messages that the policy and its tools added.
        prompt_context: What it shares with the other rollouts of its group.
        rollout_id: The caller's name for it.
        finish_reason: Why generation ended; empty when not known.
        own_reference: JSON that replaces the group's reference when not empty.
        own_documents: Documents in addition to the group's.
        token_ids: Token ids of the response, when the caller sent them.
        metadata_json: Anything else, as a JSON object; empty when there is nothing.
    """

    content: Content
    prompt_context: PromptContext = field(default_factory=PromptContext)
    rollout_id: str = ""
    finish_reason: str = ""
    own_reference: bytes = b""
    own_documents: tuple[Document, ...] = ()
    token_ids: Sequence[int] = ()
    metadata_json: bytes = b""

    @property
    def response(self) -> str:
        """The answer as text: the visible text of the last assistant message that has any."""
        if isinstance(self.content, str):
            return self.content
        for message in reversed(self.content):
            if message.role == "assistant" and (text := message.text):
                return text
        return ""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The response as messages; plain text is one assistant message."""
        if isinstance(self.content, str):
            return (Message("assistant", (Part("text", self.content),)),)
        return self.content

    @property
    def prompt(self) -> str:
        """The prompt as text; a conversation of several turns is written with its roles."""
        return render(self.prompt_context.prompt)

    @property
    def prompt_messages(self) -> tuple[Message, ...]:
        """The prompt as messages; plain text is one user message."""
        prompt = self.prompt_context.prompt
        return (Message("user", (Part("text", prompt),)),) if isinstance(prompt, str) else prompt

    @property
    def group_id(self) -> str:
        """The caller's name for the group."""
        return self.prompt_context.group_id

    @property
    def reasoning_marks(self) -> tuple[tuple[str, str], ...]:
        """Pairs of marks around reasoning in the response, in addition to those that every verifier knows."""
        return self.prompt_context.reasoning_marks

    @property
    def transcript(self) -> str:
        """The whole response as text, tool calls included, for readers that judge how an answer was reached."""
        return render(self.content)

    @property
    def documents(self) -> tuple[Document, ...]:
        """The group's documents followed by the rollout's own."""
        return self.prompt_context.documents + self.own_documents

    @property
    def reference(self) -> bytes:
        """The reference that applies to this rollout, as JSON; empty when there is none."""
        return self.own_reference or self.prompt_context.reference

    @property
    def metadata(self) -> dict[str, Any]:
        """Anything else about the rollout."""
        decoded: dict[str, Any] = json.loads(self.metadata_json) if self.metadata_json else {}
        return decoded


@dataclass(slots=True)
class Group:
    """The rollouts of one prompt."""

    prompt_context: PromptContext
    rollouts: list[Rollout]

    def __iter__(self) -> Iterator[Rollout]:
        """Iterate over the rollouts."""
        return iter(self.rollouts)

    def __len__(self) -> int:
        """The number of rollouts that are present."""
        return len(self.rollouts)

    @property
    def group_id(self) -> str:
        """The caller's name for the group."""
        return self.prompt_context.group_id

    @property
    def prompt(self) -> str:
        """The prompt as text; a conversation of several turns is written with its roles."""
        return render(self.prompt_context.prompt)

    @property
    def reference(self) -> bytes:
        """The reference that the rollouts share, as JSON; empty when there is none."""
        return self.prompt_context.reference

    @property
    def complete(self) -> bool:
        """Whether all rollouts of the prompt are present."""
        return self.prompt_context.size == len(self.rollouts)


def _render_message(message: Message) -> str:
    calls = [f"[calls {call.name}({call.arguments})]" for call in message.tool_calls]
    return "\n".join([message.text, *calls]) if calls else message.text


def render(content: Content) -> str:
    """Write content as text: a single turn as it is, several with their roles."""
    if isinstance(content, str):
        return content
    if len(content) == 1:
        return _render_message(content[0])
    return "\n\n".join(f"{message.role}: {_render_message(message)}" for message in content)


def check_subject(value: object) -> None:
    """Refuse what no verifier can judge, with what to give instead.

    Raises:
        TypeError: It is neither a rollout nor a group of rollouts, as verifiers are shown them.
    """
    for rollout in value if isinstance(value, Group) else (value,):
        if not isinstance(rollout, Rollout):
            kind = type(rollout)
            name = (
                kind.__name__
                if kind.__module__ == "builtins"
                else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
            )
            remedy = "make one with reward_servers.Rollout(text)"
            if kind.__name__ == "Rollout":
                remedy = "that is what a trainer sends; import Rollout from reward_servers"
            raise TypeError(f"expected a reward_servers.Rollout, found {name}; {remedy}")
