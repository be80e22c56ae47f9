"""From a conversation to token ids.

What a candidate writes is text: control tokens inside it are broken up, so that it cannot end its turn or begin
another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Conversation", "Encoded", "Encoder", "EncodingError", "Truncation"]

Truncation = Literal["refuse", "left", "middle"]
Template = Literal["chat", "pair", "concat"]


class EncodingError(ValueError):
    """The tokenizer's template refuses the conversation."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns as (role, text); the last ones are the response.

    Attributes:
        prompt: The turns before the response.
        response: The turns of the response.
    """

    prompt: tuple[tuple[str, str], ...]
    response: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids.

    Attributes:
        ids: What the model is shown.
        types: Which segment each belongs to, for models of pairs; empty when the tokenizer tells none apart.
        tokens: Tokens of the whole conversation.
        prompt_tokens: Tokens of the conversation with an empty response.
        escaped: Control tokens that were broken up.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...]
    tokens: int
    prompt_tokens: int
    escaped: int

    @property
    def cut(self) -> int:
        """Tokens that the model is not shown."""
        return self.tokens - len(self.ids)


class Encoder:
    """Applies a template and the tokenizer."""

    def __init__(self, tokenizer: Any, template: Template, max_length: int) -> None:
        if template == "chat" and not tokenizer.chat_template:
            raise EncodingError("the tokenizer has no chat template; use template 'pair' or 'concat'")
        self._tokenizer = tokenizer
        self._template = template
        self.max_length = max_length
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        control = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
        longest_first = sorted((token for token in control if len(token) > 1), key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def encode(self, conversation: Conversation, truncation: Truncation) -> Encoded:
        """Encodes a conversation.

        Args:
            conversation: The conversation.
            truncation: ``"left"`` keeps the end of what is too long, ``"middle"`` the beginning and the end;
                ``"refuse"`` keeps all, and the caller sees that it does not fit.

        Returns:
            The token ids.

        Raises:
            EncodingError: The template refuses the conversation, such as for the order of its roles.
        """
        prompt, in_prompt = self._harmless(conversation.prompt)
        response, in_response = self._harmless(conversation.response)
        tokens = self._tokens(prompt, response)
        ids, types = tokens["input_ids"], tokens.get("token_type_ids") or []
        nothing = tuple((role, "") for role, _ in response)
        return Encoded(
            self._truncated(ids, truncation),
            self._truncated(types, truncation) if any(types) else (),
            len(ids),
            len(self._tokens(prompt, nothing)["input_ids"]),
            in_prompt + in_response,
        )

    def _harmless(self, turns: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], int]:
        kept, found = [], 0
        for role, text in turns:
            # A space after its first character leaves a control token readable, and no control token.
            changed, count = self._control.subn(lambda match: f"{match[0][0]} {match[0][1:]}", text)
            kept.append((role, changed))
            found += count
        return kept, found

    def _tokens(self, prompt: Sequence[tuple[str, str]], response: Sequence[tuple[str, str]]) -> dict[str, list[int]]:
        tokens: dict[str, list[int]]
        if self._template == "chat":
            messages = [{"role": role, "content": text} for role, text in (*prompt, *response)]
            try:
                text = self._tokenizer.apply_chat_template(messages, tokenize=False)
            except Exception as error:  # noqa: BLE001 - templates are programs of their own and raise anything
                raise EncodingError(f"the chat template refuses the conversation: {error}") from None
            # Many templates write the first token themselves; a second one would shift every score.
            first = self._tokenizer.bos_token
            tokens = self._tokenizer(text, add_special_tokens=not (first and text.startswith(first)))
            return tokens
        before, after = ("\n\n".join(text for _, text in turns) for turns in (prompt, response))
        tokens = self._tokenizer(before, after) if self._template == "pair" else self._tokenizer(before + after)
        return tokens

    def _truncated(self, ids: list[int], truncation: Truncation) -> tuple[int, ...]:
        if len(ids) <= self.max_length or truncation == "refuse":
            return tuple(ids)
        if truncation == "left":
            return tuple(ids[-self.max_length :])
        head = self.max_length // 2
        return tuple(ids[:head] + ids[head - self.max_length :])
