"""Choosing among texts by the probability with which a causal language model would write each of them next.

Nothing is sampled, padded or batched: the result depends on the conversation alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers.engines.models._causal import last_only
from reward_servers.engines.models._encoding import Encoder, Template, Turns
from reward_servers.engines.models._forward import branch, cache_argument
from reward_servers.engines.models._loading import Loaded


class TooLongError(ValueError):
    """The conversation has more tokens than the model takes."""


@dataclass(slots=True)
class _Reading:
    """Tokens that were read, with their keys and values and the probabilities of the next token."""

    ids: list[int]
    cache: Any
    logits: Any


class Chooser:
    """A causal language model that writes one of several texts, or freely.

    Attributes:
        max_length: Tokens that it takes at most.
        fingerprint: Digest of all that its choices depend on.
    """

    def __init__(self, loaded: Loaded, max_length: int) -> None:
        """Take a model.

        Args:
            loaded: A causal language model.
            max_length: Tokens of a conversation at most; less when the model takes fewer.
        """
        import torch

        self._torch = torch
        self._loaded = loaded
        self.max_length = min(max_length, loaded.max_length or max_length)
        self.fingerprint = loaded.fingerprint
        template: Template = "chat" if loaded.tokenizer.chat_template else "concat"
        self._cache_argument = cache_argument(loaded.model)
        self._last_only = dict.fromkeys(last_only(loaded.model), 1)
        self._encoder = Encoder(loaded.tokenizer, template, self.max_length, "false")

    def begin(self, turns: Turns) -> str:
        """The text that a conversation becomes, up to where the reply begins.

        Raises:
            EncodingError: The template refuses the conversation.
        """
        return self._encoder.opening(turns)

    def tokens(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._encoder.ids_of(text))

    def choose(self, text: str, choices: Sequence[str]) -> list[float]:
        """How likely each choice is to follow a text.

        A choice that another one begins with (``1`` and ``10``) counts without the other's share. A choice in several
        tokens counts as far as it takes to tell it from the others.

        Args:
            text: The beginning of the reply.
            choices: Different texts that are not empty.

        Returns:
            Their probabilities. The difference to 1 is the probability of all other texts.

        Raises:
            TooLongError: The text and a choice are longer than the model takes.
        """
        text = self._encoder.shorten(text)
        sequences = [self._encoder.ids_of(text + choice) for choice in choices]
        shared = _common(sequences)
        if max(map(len, sequences)) > self.max_length:
            raise TooLongError(f"at least {max(map(len, sequences))} tokens, of at most {self.max_length}")
        with self._torch.inference_mode():
            reading = self._read(sequences[0][:shared], None)
            chances = [0.0] * len(choices)
            self._spread(reading, {place: ids[shared:] for place, ids in enumerate(sequences)}, 1.0, chances)
        return chances

    def write(self, text: str, most: int) -> tuple[str, bool]:
        """Write on, always with the likeliest token.

        Args:
            text: The beginning of the reply.
            most: Tokens to write at most.

        Returns:
            The written text, and whether the model ended it by itself.

        Raises:
            TooLongError: The text leaves no room.
        """
        ids = self._encoder.ids_of(self._encoder.shorten(text))
        room = min(most, self.max_length - len(ids))
        if room < 1:
            raise TooLongError(f"at least {len(ids)} tokens, of at most {self.max_length}")
        ends, tokens = self._ends(), list[int]()
        with self._torch.inference_mode():
            reading = self._read(ids, None)
            while len(tokens) < room:
                token = int(reading.logits.argmax())
                if token in ends:
                    return self._loaded.tokenizer.decode(tokens, skip_special_tokens=True), True
                tokens.append(token)
                reading = self._read([token], reading)
        return self._loaded.tokenizer.decode(tokens, skip_special_tokens=True), False

    def _ends(self) -> set[int]:
        end_ids = getattr(self._loaded.model.generation_config, "eos_token_id", None)
        listed = end_ids if isinstance(end_ids, list) else [end_ids]
        return {
            int(identifier) for identifier in (*listed, self._loaded.tokenizer.eos_token_id) if identifier is not None
        }

    def _spread(self, reading: _Reading, tails: dict[int, list[int]], reached: float, shares: list[float]) -> None:
        """Shares the probability of having come to a place among the choices that go on from it."""
        ended = [place for place, tail in tails.items() if not tail]
        going = {place: tail for place, tail in tails.items() if tail}
        chances = self._torch.softmax(reading.logits.double(), -1)
        passed = 0.0
        for token in dict.fromkeys(tail[0] for tail in going.values()):
            chance = reached * float(chances[token])
            passed += chance
            continued = {place: tail[1:] for place, tail in going.items() if tail[0] == token}
            if len(continued) == 1:
                shares[next(iter(continued))] += chance
            else:
                self._spread(self._read([token], reading), continued, chance, shares)
        for place in ended:
            shares[place] += max(0.0, reached - passed)

    def _read(self, ids: Sequence[int], before: _Reading | None) -> _Reading:
        from transformers import DynamicCache

        model = self._loaded.model
        cache = DynamicCache(config=model.config) if before is None else branch(before.cache)
        tensor = self._torch.tensor([list(ids)], dtype=self._torch.long, device=self._loaded.device)
        outputs = model(input_ids=tensor, use_cache=True, **{self._cache_argument: cache}, **self._last_only)
        logits = outputs.logits[0, -1].float().cpu()
        if not math.isfinite(float(logits.max())):
            raise ArithmeticError("the model's outputs are not finite")
        return _Reading([*(before.ids if before else ()), *ids], cache, logits)


def _common(sequences: Sequence[Sequence[int]]) -> int:
    """The number of first ids that all have in common."""
    shortest = min(map(len, sequences))
    first = sequences[0]
    length = next(
        (place for place in range(shortest) if any(sequence[place] != first[place] for sequence in sequences)), shortest
    )
    return max(1, length)
