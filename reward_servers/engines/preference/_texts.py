"""Texts that mean the same: vectors of an encoder, and cross-encoders that read two texts together."""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models import (
    Encoded,
    Encoder,
    Forward,
    ModelUnusableError,
    NoMemoryError,
    Reader,
    Summary,
    load_classifier,
    load_encoder,
)

if TYPE_CHECKING:
    import torch

_KEPT = 4096
_PLACE = re.compile(r"\{(prompt|first|second)\}")
PAIR_LAYOUT = "{prompt}\n\nFirst: {first}\n\nSecond: {second}"


def laid_out(layout: str, prompt: str, first: str, second: str) -> str:
    """Fill ``{prompt}``, ``{first}`` and ``{second}`` of a layout at once: such words in a response stay text."""
    texts = {"prompt": prompt, "first": first, "second": second}
    return _PLACE.sub(lambda match: texts[match[1]], layout)


@dataclass(frozen=True, slots=True)
class ClosestReference:
    """The reference that a response is closest to.

    Attributes:
        place: Its place among the references.
        raw: The cosine, or the output of a cross-encoder.
        value: That between 0 and 1.
        vector: The response's vector, of length 1; empty for a cross-encoder.
        other: That of the reference.
    """

    place: int
    raw: float
    value: float
    vector: list[float]
    other: list[float]


class TextModel:
    """An encoder of texts.

    Attributes:
        max_length: Tokens of the longest text.
        fingerprint: Digest of all that its vectors depend on.
        width: Numbers of a vector.
    """

    def __init__(self, path: Path, summary: Summary, max_length: int, **where: Any) -> None:
        """Load the model.

        Args:
            path: Its directory.
            summary: How hidden states become one vector.
            max_length: Tokens of a text at most; less when the model takes fewer.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        loaded = load_encoder(path, **where)
        self.max_length = min(max_length, loaded.max_length or max_length)
        self.fingerprint = f"{loaded.fingerprint} {summary}"
        self.width = int(loaded.model.config.hidden_size)
        self._summary = summary
        self._reader = Reader(loaded)
        self._texts = Texts(loaded.tokenizer, self.max_length)
        self._known: OrderedDict[tuple[int, ...], torch.Tensor] = OrderedDict()

    def encoded(self, text: str, references: Sequence[str]) -> list[Encoded]:
        """The text and then the references as token ids; of one that is too long, as much as shows that it is."""
        return [self._texts.one(self._texts.shorten(each_text)) for each_text in (text, *references)]

    def closest(self, texts: Sequence[Encoded]) -> ClosestReference:
        """Compare the first text with the others.

        Raises:
            NoMemoryError: The device has no memory for one of them.
        """
        own = self.vector(texts[0])
        vectors = [self._cached_vector(text) for text in texts[1:]]
        cosines = [float(own @ reference) for reference in vectors]
        if any(map(math.isnan, cosines)):
            return ClosestReference(0, float("nan"), 0.0, [], [])
        place = max(range(len(cosines)), key=cosines.__getitem__)
        return ClosestReference(
            place, cosines[place], min(1.0, max(0.0, cosines[place])), own.tolist(), vectors[place].tolist()
        )

    def vector(self, encoded: Encoded) -> torch.Tensor:
        """``[H]`` vector of length 1.

        Raises:
            NoMemoryError: The device has no memory for it.
        """
        summary = self._reader.summary(encoded.ids, encoded.types, self._summary)
        unit: torch.Tensor = summary / summary.norm().clamp_min(1e-12)
        return unit

    def shortened(self, text: str) -> torch.Tensor:
        """``[H]`` vector of length 1 of as much of a text as the model reads; kept, as prompts come again.

        Raises:
            NoMemoryError: The device has no memory for it.
        """
        return self._cached_vector(self._texts.beginning(text, self.max_length))

    def _cached_vector(self, encoded: Encoded) -> torch.Tensor:
        """The vector of a reference, which a whole group is compared with."""
        vector = self._known.get(encoded.ids)
        if vector is None:
            vector = self._known[encoded.ids] = self.vector(encoded)
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return vector


class CrossModel:
    """A classifier that reads two texts together.

    Attributes:
        max_length: Tokens of the longest pair.
        fingerprint: Digest of all that its outputs depend on.
    """

    def __init__(self, path: Path, label: int, max_length: int, **where: Any) -> None:
        """Load the model.

        Args:
            path: Its directory.
            label: The output that is read.
            max_length: Tokens of a pair at most; less when the model takes fewer.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        loaded = load_classifier(path, **where)
        self.max_length = min(max_length, loaded.max_length or max_length)
        self._forward = Forward(loaded, prefix_bytes=0, kernel="alone")
        if label >= self._forward.outputs:
            raise ModelUnusableError(f"{path}: has {self._forward.outputs} outputs; label {label} is not one of them")
        self._label = label
        self._texts = Texts(loaded.tokenizer, self.max_length)
        self.fingerprint = f"{loaded.fingerprint} cross {label}"

    def encoded(self, text: str, references: Sequence[str]) -> list[Encoded]:
        """Each reference with the text, as token ids; of one that is too long, as much as shows that it is."""
        shorten = self._texts.shorten
        return [self._texts.two(shorten(reference), shorten(text)) for reference in references]

    def shorten(self, text: str) -> str:
        """A text, or as much of its beginning as surely has more tokens than the model takes."""
        return self._texts.shorten(text)

    def single(self, text: str) -> Encoded:
        """A text that holds both as token ids."""
        return self._texts.one(text)

    def raw(self, texts: Sequence[Encoded]) -> list[float]:
        """The output of each.

        Raises:
            NoMemoryError: The device has no memory for one of them.
        """
        return [output[self._label] for output in self._outputs(texts)]

    def _outputs(self, texts: Sequence[Encoded]) -> list[tuple[float, ...]]:
        outputs = [encoded.values for encoded in self._forward.run(texts)]
        if missing := [len(text.ids) for text, values in zip(texts, outputs, strict=True) if not values]:
            raise NoMemoryError(f"the device has no memory for {missing[0]} tokens")
        return outputs

    def closest(self, texts: Sequence[Encoded]) -> ClosestReference:
        """The reference that the model likes best; with several outputs the label's share, else squashed.

        Raises:
            NoMemoryError: The device has no memory for one of them.
        """
        outputs = self._outputs(texts)
        values = [_share(output, self._label) for output in outputs]
        # NaN at any position is reported.
        place = next((rank for rank, value in enumerate(values) if value != value), None)
        if place is None:
            place = max(range(len(values)), key=values.__getitem__)
            return ClosestReference(place, outputs[place][self._label], values[place], [], [])
        return ClosestReference(place, float("nan"), 0.0, [], [])


def _share(outputs: Sequence[float], label: int) -> float:
    if not all(map(math.isfinite, outputs)):
        return float("nan")
    if len(outputs) == 1:
        return 0.5 * (1.0 + math.tanh(outputs[0] / 2.0))
    highest = max(outputs)
    return math.exp(outputs[label] - highest) / math.fsum(math.exp(output - highest) for output in outputs)


class Texts:
    """Single texts and pairs as token ids; control tokens in them are text."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        """Take a tokenizer and the tokens of the longest sequence.

        Raises:
            EncodingError: The tokenizer cannot be used.
        """
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer, "pair", max_length, "false")

    def shorten(self, text: str) -> str:
        """A text, or as much of its beginning as surely has more tokens than the model takes."""
        return self._encoder.shorten(text)

    def one(self, text: str) -> Encoded:
        """A text."""
        tokens = self._tokenizer(self._encoder.harmless(text))
        return _encoded(tokens)

    def beginning(self, text: str, length: int) -> Encoded:
        """As much of a text as there is room for."""
        return _encoded(self._tokenizer(self._encoder.harmless(text), truncation=True, max_length=length))

    def two(self, first: str, second: str) -> Encoded:
        """Two texts that a model reads together."""
        return _encoded(self._tokenizer(self._encoder.harmless(first), self._encoder.harmless(second)))


def _encoded(tokens: Any) -> Encoded:
    ids, types = tuple(tokens["input_ids"]), tuple(tokens.get("token_type_ids") or ())
    return Encoded(ids, types if any(types) else (), len(ids))
