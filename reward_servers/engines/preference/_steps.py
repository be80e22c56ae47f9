"""Process reward models: a probability for each step of a response.

A conversation becomes the prompt, then each step followed by the separator's tokens; what the model says at the last of
these is the step's score. This is how such models are trained (TRL's PRM trainer; Math-Shepherd, arXiv 2312.08935).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reward_servers.engines.models import (
    Encoder,
    ModelUnusableError,
    Reader,
    load_causal,
    load_token_classifier,
)

Kind = Literal["classifier", "causal"]


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a text: first and one behind the last character."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TokenisedSteps:
    """A conversation as token ids, with the position at which each step is read and the number of the prompt's ids."""

    ids: tuple[int, ...]
    places: tuple[int, ...]
    prompt_tokens: int


def split_steps(text: str, separator: str) -> list[Step]:
    """Steps of a text: the parts between separators, without spaces around them. Empty ones are left out."""
    steps = []
    start = 0
    for match in [*re.finditer(re.escape(separator), text), None]:
        end = match.start() if match is not None else len(text)
        part = text[start:end]
        if part.strip():
            first = start + len(part) - len(part.lstrip())
            steps.append(Step(first, first + len(part.strip())))
        start = match.end() if match is not None else end
    return steps


class Layout:
    """How a conversation is laid out for a model of steps."""

    def __init__(self, tokenizer: Any, separator: str, max_length: int) -> None:
        """Take a tokenizer.

        Args:
            tokenizer: A tokenizer of transformers.
            separator: Text behind each step.
            max_length: Tokens of the longest conversation.

        Raises:
            EncodingError: The tokenizer cannot be used.
            ValueError: It has no tokens for the separator.
        """
        self._encoder = Encoder(tokenizer, "concat", max_length, "false")
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._separator = self.ids(separator)
        if not self._separator:
            raise ValueError(f"the separator {separator!r} has no tokens; give the one of its training")

    def lay(self, prompt: str, steps: Sequence[str]) -> TokenisedSteps:
        """Encode a conversation; control tokens in its texts are text.

        Of one that is too long no more is encoded than it takes to see that.
        """
        first = self._tokenizer.bos_token_id
        ids = [*([first] if first is not None else []), *self._harmless_ids(prompt)]
        prompt_tokens, places = len(ids), []
        for step in steps:
            if len(ids) > self._max_length:
                break
            ids += [*self._harmless_ids(step), *self._separator]
            places.append(len(ids) - 1)
        return TokenisedSteps(tuple(ids), tuple(places), prompt_tokens)

    def _harmless_ids(self, text: str) -> list[int]:
        return self.ids(self._encoder.harmless(self._encoder.shorten(text)))

    def ids(self, text: str) -> list[int]:
        """Token ids of a text by itself."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


class ProcessModel:
    """A model that scores steps.

    Attributes:
        max_length: Tokens of the longest conversation.
        fingerprint: Digest of all that its scores depend on.
    """

    def __init__(
        self, path: Path, kind: Kind, separator: str, good: str, bad: str, max_length: int, **where: Any
    ) -> None:
        """Load the model.

        Args:
            path: Its directory.
            kind: ``"classifier"``: tokens are classified, and ``good`` and ``bad`` name or number labels;
                ``"causal"``: a language model writes ``good`` or ``bad``, each one token.
            separator: Text behind each step; the last of its tokens is read.
            good: What a right step is.
            bad: What a wrong step is; empty for a classifier with one output, which is squashed.
            max_length: Tokens of a conversation at most; less when the model takes fewer.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files or the settings cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        load = load_token_classifier if kind == "classifier" else load_causal
        loaded = load(path, **where)
        tokenizer = loaded.tokenizer
        self.max_length = min(max_length, loaded.max_length or max_length)
        self._unknown = tokenizer.unk_token_id
        self._reader = Reader(loaded)
        try:
            self._layout = Layout(tokenizer, separator, self.max_length)
        except ValueError as error:
            raise ModelUnusableError(f"{path}: {error}") from None
        if kind == "causal":
            self._outputs = [self._word(path, label) for label in (good, bad)]
        else:
            self._outputs = _labels(path, loaded.model.config, good, bad)
        self.fingerprint = f"{loaded.fingerprint} {kind} {separator!r} {good!r} {bad!r}"

    def lay(self, prompt: str, steps: Sequence[str]) -> TokenisedSteps:
        """Encode a conversation; control tokens in its texts are text."""
        return self._layout.lay(prompt, steps)

    def score(self, laid: TokenisedSteps) -> list[float]:
        """The probability that each step is right; not a number where the model gives none.

        Raises:
            NoMemoryError: The device has no memory for the conversation.
        """
        import torch

        logits = self._reader.outputs(laid.ids, laid.places)[:, self._outputs]
        chances = torch.sigmoid(logits[:, 0]) if len(self._outputs) == 1 else torch.softmax(logits, -1)[:, 0]
        return [float(chance) for chance in chances]

    def _word(self, path: Path, text: str) -> int:
        ids = self._layout.ids(text)
        if len(ids) != 1 or ids[0] == self._unknown:
            raise ModelUnusableError(f"{path}: {text!r} is not one token of this model; give the words of its training")
        return ids[0]


def _labels(path: Path, config: Any, good: str, bad: str) -> list[int]:
    names = {str(name): place for place, name in config.id2label.items()}
    places = []
    for label in (good, bad) if bad else (good,):
        place = names.get(label, int(label) if label.isdigit() else -1)
        if not 0 <= place < config.num_labels:
            raise ModelUnusableError(f"{path}: has no label {label!r}; it has {', '.join(names)}, or numbers from 0")
        places.append(place)
    return places
