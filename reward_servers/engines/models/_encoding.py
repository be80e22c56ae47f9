"""From a conversation to token ids.

What a candidate writes is text: control tokens inside it are broken up, so that it cannot end its turn or begin
another; and what is no character of Unicode is read as U+FFFD.
"""

from __future__ import annotations

import re
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from reward_servers.engines.models._shortening import TextShortener

Truncation = Literal["refuse", "left", "middle"]
Template = Literal["chat", "pair", "concat"]
AddEos = Literal["auto", "true", "false"]
Turns = Sequence[tuple[str, str]]

_PROMPTS = 256
_KEPT = 1 << 24
"""Tokens and characters of all prompts that are kept: a caller may send prompts of any length."""
# Siblings whose first token differs only because it was merged with the end of the prompt still share what is before.
_SHARED_STEP = 16


class EncodingError(ValueError):
    """The tokenizer's template refuses the conversation."""


class ResponseRefusedError(EncodingError):
    """The template refuses the texts of the response; the same turns without a text it takes."""


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
        tokens: Tokens of the whole conversation, or of its prompt where that is refused for its length; of as much of
            them as shows that they are refused.
        prompt_tokens: Tokens of the conversation with an empty response.
        shared: The number of first ids that follow from the prompt alone. It depends on this conversation only.
        escaped: Control tokens that were broken up.
        adapter: Name of the adapter that is used; empty for the model without one.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...] = ()
    tokens: int = 0
    prompt_tokens: int = 0
    shared: int = 0
    escaped: int = 0
    adapter: str = ""

    @property
    def cut(self) -> int:
        """Tokens that the model is not shown."""
        return self.tokens - len(self.ids)


@dataclass(slots=True)
class _Prompt:
    """Cached facts about a prompt.

    Attributes:
        alone: Ids of the prompt with an empty response.
        text: Its text then, for chat templates.
        head: The text up to the last control token that all its conversations begin with; empty until it is needed.
        head_ids: The ids of that.
        seen: Responses so far.
        differs: Whether tokenising in two parts gives other ids than tokenising the whole.
    """

    alone: array[int]
    text: str = ""
    head: str = ""
    head_ids: array[int] = field(default_factory=lambda: array("q"))
    seen: int = 0
    differs: bool = False


class Encoder:
    """Applies a template and the tokenizer.

    Attributes:
        max_length: Tokens that the model is shown at most.
        adds_eos: Whether an end-of-sequence token is added where the template has none.
    """

    def __init__(self, tokenizer: Any, template: Template, max_length: int, add_eos: AddEos = "auto") -> None:
        """Take the tokenizer.

        Args:
            tokenizer: A tokenizer of transformers.
            template: ``"chat"`` is the tokenizer's own template, ``"pair"`` two segments, ``"concat"`` prompt and
                response one after the other.
            max_length: Tokens that the model is shown at most.
            add_eos: Whether a sequence ends in the tokenizer's end-of-sequence token. ``"auto"`` adds it with
                ``"concat"``, as the usual trainers of preference models do, unless the tokenizer ends sequences
                with a token of its own.

        Raises:
            EncodingError: There is no chat template, or no end-of-sequence token to add.
        """
        if template == "chat" and not tokenizer.chat_template:
            raise EncodingError("the tokenizer has no chat template; use template 'pair' or 'concat'")
        self._tokenizer = tokenizer
        self._shortener = TextShortener(tokenizer, max_length)
        self._template = template
        self.max_length = max_length
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        control = {*tokenizer.all_special_tokens, *(str(token) for token in added if token.special)}
        self.control = tuple(sorted((token for token in control if len(token) > 1), key=len, reverse=True))
        self._control = re.compile("|".join(map(re.escape, self.control)) or r"(?!)")
        # A control token that takes spaces beside it into itself is no place to cut a text at.
        greedy = {str(token) for token in added if token.rstrip or token.single_word}
        self._cuts = re.compile(
            "|".join(map(re.escape, (token for token in self.control if token not in greedy))) or r"(?!)"
        )
        self._prompts: OrderedDict[tuple[Any, ...], _Prompt] = OrderedDict()
        self._kept = 0
        self.adds_eos = self._should_add_eos(add_eos)
        self._splits = template == "chat" and self._may_split()

    def _should_add_eos(self, add_eos: AddEos) -> bool:
        eos = self._tokenizer.eos_token_id
        if add_eos == "true" and eos is None:
            raise EncodingError("add_eos is 'true', but the tokenizer has no end-of-sequence token; set it to 'false'")
        if add_eos != "auto":
            return add_eos == "true"
        if self._template != "concat" or eos is None:
            return False
        ends = [self._tokenizer("a", add_special_tokens=special)["input_ids"][-1:] for special in (True, False)]
        return bool(ends[0] == ends[1])

    def encode(self, conversation: Conversation, truncation: Truncation) -> Encoded:
        """Encode a conversation.

        Args:
            conversation: The conversation.
            truncation: ``"left"`` keeps the end of a long text, ``"middle"`` the beginning and the end;
                ``"refuse"`` keeps all, and the caller sees that it does not fit. Where the prompt alone does not,
                that is all that is encoded; of either no more than shows it.

        Returns:
            The token ids.

        Raises:
            EncodingError: The template refuses the conversation, such as for the order of its roles.
            ResponseRefusedError: It refuses what the response says.
        """
        prompt, in_prompt = self._harmless(conversation.prompt)
        response, in_response = self._harmless(conversation.response)
        if self._meet(prompt, response):
            response[0] = (response[0][0], f" {response[0][1]}")
            in_response += 1
        refuses = truncation == "refuse"
        known_prompt = self._known_prompt(prompt, tuple(role for role, _ in response), refuses)
        if refuses and len(known_prompt.alone) > self.max_length:
            return Encoded(
                tuple(known_prompt.alone),
                (),
                len(known_prompt.alone),
                len(known_prompt.alone),
                0,
                in_prompt + in_response,
            )
        try:
            tokens = self._tokens(prompt, response, known_prompt, refuses)
        except EncodingError as error:
            raise ResponseRefusedError(str(error)) from None
        ids, types = tokens["input_ids"], tokens.get("token_type_ids") or []
        shown_ids = self._truncated(ids, truncation)
        return Encoded(
            shown_ids,
            self._truncated(types, truncation) if any(types) else (),
            len(ids),
            len(known_prompt.alone),
            _common(shown_ids, known_prompt.alone) // _SHARED_STEP * _SHARED_STEP,
            in_prompt + in_response,
        )

    def opening(self, turns: Turns) -> str:
        """The text after which the model writes its reply to some turns.

        Where there is no chat template it is their texts; where the template takes no system turn, that is put before
        the first turn of the user.

        Args:
            turns: As (role, text); control tokens inside the texts are broken up.

        Raises:
            EncodingError: The template refuses the turns.
        """
        harmless_turns, _ = self._harmless(turns)
        if not self._tokenizer.chat_template:
            return "\n\n".join(text for _, text in harmless_turns) + "\n\n"
        try:
            return self._applied(harmless_turns, opens=True)
        except EncodingError:
            if len(harmless_turns) < 2 or harmless_turns[0][0] != "system":
                raise
        return self._applied(
            [(harmless_turns[1][0], f"{harmless_turns[0][1]}\n\n{harmless_turns[1][1]}"), *harmless_turns[2:]],
            opens=True,
        )

    def _applied(self, turns: Turns, *, opens: bool = False) -> str:
        messages = [{"role": role, "content": text} for role, text in turns]
        try:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opens))
        except Exception as error:  # noqa: BLE001 - templates are programs of their own and raise anything
            raise EncodingError(f"the chat template refuses the conversation: {error}") from None

    def ids_of(self, text: str) -> list[int]:
        """Token ids of a text in which a template has been applied."""
        # Many templates write the first token themselves; a second one would shift everything.
        first = self._tokenizer.bos_token
        ids: list[int] = self._tokenizer(text, add_special_tokens=not (first and text.startswith(first)))["input_ids"]
        return ids

    def _known_prompt(self, prompt: Turns, roles: tuple[str, ...], refuses: bool) -> _Prompt:
        """The facts about a prompt, computed once for the rollouts of its group."""
        key = (tuple(prompt), roles, refuses)
        known_prompt = self._prompts.get(key)
        if known_prompt is None:
            empty = tuple((role, "") for role in roles)
            known_prompt = self._prompts[key] = _Prompt(
                array("q", self._tokens(prompt, empty, None, refuses)["input_ids"])
            )
            if self._template == "chat":
                known_prompt.text = self._applied((*prompt, *empty))
            self._kept += _size(key, known_prompt)
            # The newest entry stays, even if it is large: the rest of its group comes next.
            while len(self._prompts) > 1 and (len(self._prompts) > _PROMPTS or self._kept > _KEPT):
                self._kept -= _size(*self._prompts.popitem(last=False))
        else:
            self._prompts.move_to_end(key)
        return known_prompt

    def _may_split(self) -> bool:
        """Whether a text can be cut behind a control token, and its parts be tokenised one after the other."""
        prompt = (("user", "a b"),)
        try:
            known_prompt = _Prompt(array("q"), self._applied((*prompt, ("assistant", ""))))
            for begin in ("a", " a", "\n\na", "é", "1"):
                text = self._applied((*prompt, ("assistant", begin)))
                parts = self._in_parts(text, known_prompt)
                if parts is None or parts != self.ids_of(text):
                    return False
        except EncodingError:
            return False
        return True

    def _in_parts(self, text: str, known_prompt: _Prompt) -> list[int] | None:
        """Ids of a text that begins as a prompt does: that part is tokenised once; None where there is no such part."""
        if not known_prompt.head:
            common = text[: _common(text, known_prompt.text)]
            cut = max((match.end() for match in self._cuts.finditer(common)), default=0)
            known_prompt.head = text[:cut]
            known_prompt.head_ids = array("q", self.ids_of(known_prompt.head) if cut else ())
        if not known_prompt.head or not text.startswith(known_prompt.head):
            return None
        tail_ids: list[int] = self._tokenizer(text[len(known_prompt.head) :], add_special_tokens=False)["input_ids"]
        return [*known_prompt.head_ids, *tail_ids]

    def _chat_ids(self, text: str, known_prompt: _Prompt | None) -> list[int]:
        """Ids of a rendered conversation; from the third response to a prompt on, the prompt is not tokenised again."""
        if known_prompt is None or not self._splits or known_prompt.differs:
            return self.ids_of(text)
        known_prompt.seen += 1
        if known_prompt.seen == 1:
            return self.ids_of(text)
        parts = self._in_parts(text, known_prompt)
        if known_prompt.seen > 2 and parts is not None:
            return parts
        ids = self.ids_of(text)
        known_prompt.differs = parts != ids
        return ids

    def _meet(self, prompt: Turns, response: Turns) -> bool:
        """Whether a prompt's end and a response's beginning are a control token where nothing is between them."""
        if self._template != "concat" or not (self.control and response):
            return False
        longest = len(self.control[0])
        near = "\n\n".join(text for _, text in prompt)[-longest:] + response[0][1][:longest]
        return self._control.search(near) is not None

    def shorten(self, text: str) -> str:
        """A text, or as much of its beginning as surely has more tokens than the model takes."""
        return self._shortener.shorten(text)

    def harmless(self, text: str) -> str:
        """A text whose control tokens are broken up, so that it cannot end its turn."""
        return self._harmless((("", text),))[0][0][1]

    def _harmless(self, turns: Turns) -> tuple[list[tuple[str, str]], int]:
        harmless, replaced = [], 0
        for role, text in turns:
            # A space after its first character leaves a control token readable, and no control token.
            changed, count = self._control.subn(
                lambda match: f"{match[0][0]} {match[0][1:]}", _without_half_pairs(text)
            )
            harmless.append((role, changed))
            replaced += count
        return harmless, replaced

    def _tokens(
        self, prompt: Turns, response: Turns, known_prompt: _Prompt | None, refuses: bool
    ) -> dict[str, list[int]]:
        # What is cut is read whole, since how much was cut is told.
        shorten = self.shorten if refuses else str
        tokens: dict[str, list[int]]
        if self._template == "chat":
            tokens = {"input_ids": self._chat_ids(shorten(self._applied((*prompt, *response))), known_prompt)}
        else:
            before, after = ("\n\n".join(text for _, text in turns) for turns in (prompt, response))
            texts = (shorten(before), shorten(after)) if self._template == "pair" else (shorten(before + after),)
            tokens = dict(self._tokenizer(*texts))
        ids, eos = tokens["input_ids"], self._tokenizer.eos_token_id
        if self.adds_eos and ids[-1:] != [eos]:
            tokens["input_ids"] = [*ids, eos]
            if types := tokens.get("token_type_ids"):
                tokens["token_type_ids"] = [*types, types[-1]]
        return tokens

    def _truncated(self, ids: list[int], truncation: Truncation) -> tuple[int, ...]:
        if len(ids) <= self.max_length or truncation == "refuse":
            return tuple(ids)
        if truncation == "left":
            return tuple(ids[-self.max_length :])
        head = self.max_length // 2
        return tuple(ids[:head] + ids[head - self.max_length :])


def _size(key: tuple[Any, ...], known_prompt: _Prompt) -> int:
    """Tokens and characters that are kept of a prompt."""
    return len(known_prompt.alone) + sum(len(text) for _, text in key[0])


def _without_half_pairs(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which JSON can hold and no tokenizer reads."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _common(ids: Sequence[Any], others: Sequence[Any]) -> int:
    """Length of the longest common beginning."""
    length = min(len(ids), len(others))
    return next((place for place in range(length) if ids[place] != others[place]), length)
