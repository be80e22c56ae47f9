"""How likely a language model finds a text after another one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_servers.engines.models import Encoder, Reader, load_causal


@dataclass(frozen=True, slots=True)
class Continuation:
    """Token ids of a conversation and, from ``start`` on, of the text that follows it."""

    ids: tuple[int, ...]
    start: int


class LikelihoodModel:
    """A causal language model that reads texts and writes none.

    Attributes:
        max_length: Tokens of the longest conversation.
        fingerprint: Digest of all that its likelihoods depend on.
    """

    def __init__(self, path: Path, max_length: int, **where: Any) -> None:
        """Load the model.

        Args:
            path: Its directory.
            max_length: Tokens of a conversation at most; less when the model takes fewer.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        loaded = load_causal(path, **where)
        self.max_length = min(max_length, loaded.max_length or max_length)
        self.fingerprint = loaded.fingerprint
        self._tokenizer = loaded.tokenizer
        template = "chat" if loaded.tokenizer.chat_template else "concat"
        self._encoder = Encoder(loaded.tokenizer, template, self.max_length, "false")  # type: ignore[arg-type]
        self._reader = Reader(loaded)

    def after(self, turns: Sequence[tuple[str, str]], response_before: str, text: str) -> Continuation:
        """A text after some turns and the beginning of a reply; of what is too long, as much as shows that it is.

        Args:
            turns: As (role, text).
            response_before: What the reply begins with; it is not counted.
            text: The text whose likelihood is computed.

        Raises:
            EncodingError: The template refuses the turns.
        """
        harmless, shorten = self._encoder.harmless, self._encoder.shorten
        before = self._encoder.ids_of(shorten(self._encoder.opening(turns) + harmless(response_before)))
        after: list[int] = self._tokenizer(harmless(shorten(text)), add_special_tokens=False)["input_ids"]
        return Continuation((*before, *after), len(before))

    def log_likelihoods(self, continuation: Continuation) -> list[float]:
        """Natural logarithm of the probability of each token of the continuation.

        Raises:
            NoMemoryError: The device has no memory for it.
        """
        chances = self._reader.log_likelihoods(continuation.ids, continuation.start)
        return chances if all(map(math.isfinite, chances)) else [float("nan")]
