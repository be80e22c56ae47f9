"""Scorers of a picture and the text that asked for it: two towers as CLIP has them, or BLIP, with a head or without.

Sources: CLIPScore (arXiv 2104.08718) for the cosine; PickScore (arXiv 2305.01569) and HPS v2 (arXiv 2306.09341), which
are CLIP models read by their scaled cosine; the aesthetic predictor of LAION, layers on CLIP's vector of the picture;
ImageReward (arXiv 2304.05977), layers on what BLIP's text encoder makes of the first token in view of the picture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reward_servers.engines.media import Image, Preprocessor, read_preprocessor
from reward_servers.engines.models import Encoder, ModelUnusableError, errors_named, load_towers, within_memory

if TYPE_CHECKING:
    import torch

PictureKind = Literal["clip", "aesthetic", "image_reward"]
_NUMBER = re.compile(r"\d+")
_PROBES = ("a cat", "two red cars")


@dataclass(frozen=True, slots=True)
class PictureInput:
    """A prompt as token ids.

    Attributes:
        ids: What the model is shown.
        cut: Tokens that it is not shown, at the end.
    """

    ids: tuple[int, ...]
    cut: int = 0


@dataclass(frozen=True, slots=True)
class PictureScore:
    """What a model says of a picture.

    Attributes:
        raw: Its number: the scaled cosine, or the output of the head.
        cosine: The cosine of the vectors of prompt and picture; None where they are not compared.
    """

    raw: float
    cosine: float | None = None


class PictureModel:
    """A model that reads a picture, and for most kinds its prompt.

    Attributes:
        kind: What it is read by.
        max_length: Tokens of the longest prompt.
        fingerprint: Digest of all that its numbers depend on.
    """

    def __init__(self, path: Path, kind: PictureKind, head: Path | None, max_length: int, **where: Any) -> None:
        """Load the model.

        Args:
            path: A directory with configuration, tokenizer, ``preprocessor_config.json`` and safetensors weights.
            kind: ``"clip"``: the scaled cosine; ``"aesthetic"``: a head on the vector of the picture;
                ``"image_reward"``: a head on BLIP's first token.
            head: The head's safetensors file: layers ``weight`` and ``bias``, applied in the order of the numbers in
                their names with nothing between them, as both published heads are.
            max_length: Tokens of a prompt at most; less when the model takes fewer. ImageReward was trained with 35.
            where: Device, dtype and threads.

        Raises:
            ModelUnusableError: The files cannot be used.
            EncodingError: The tokenizer cannot be used.
        """
        if (head is None) != (kind == "clip"):
            raise ModelUnusableError(
                f"head: kind {kind!r} has none; leave it out" if head else f"head: kind {kind!r} needs a file of it"
            )
        loaded = load_towers(path, joint=kind == "image_reward", **where)
        with errors_named(
            path / "preprocessor_config.json", "preprocessor configuration", "put that of the model there"
        ):
            self._preprocessor: Preprocessor = read_preprocessor(path)
        self.kind: PictureKind = kind
        self._model, self._tokenizer, self._device = loaded.model, loaded.tokenizer, loaded.device
        self._encoder = Encoder(loaded.tokenizer, "concat", 1 << 20, "false")
        positions = int(loaded.model.config.text_config.max_position_embeddings)
        self.max_length = min(max_length, positions, loaded.max_length or positions)
        self._head = _read_head(head, self._width(), loaded.model) if head is not None else []
        self.fingerprint = f"{loaded.fingerprint} {kind}" + (f" {_digest(head)}" if head is not None else "")
        self._check(path)

    def asked(self, prompt: str) -> PictureInput:
        """A prompt as token ids; control tokens in it are text."""
        if self.kind == "aesthetic":
            prompt = ""
        text = self._encoder.harmless(prompt)
        # The tokenizer keeps its last token, which such models read, when it cuts a text.
        ids: list[int] = self._tokenizer(text, truncation=True, max_length=self.max_length)["input_ids"]
        full_ids = ids if len(ids) < self.max_length else self._tokenizer(text)["input_ids"]
        return PictureInput(tuple(ids), len(full_ids) - len(ids))

    def see(self, prompt: PictureInput, image: Image) -> PictureScore:
        """What the model says of a picture, computed by itself.

        Raises:
            NoMemoryError: The device has no memory for it.
        """
        import torch

        pixels = torch.from_numpy(self._preprocessor.pixels(image))[None].to(self._device, self._model.dtype)
        ids = torch.tensor([prompt.ids], device=self._device)
        read_pair = self._read_jointly if self.kind == "image_reward" else self._read_apart
        return within_memory(lambda: read_pair(ids, pixels), self._device, "a picture")

    def _read_apart(self, ids: torch.Tensor, pixels: torch.Tensor) -> PictureScore:
        output = self._model(input_ids=ids, attention_mask=ids.new_ones(ids.shape), pixel_values=pixels)
        if self.kind == "aesthetic":
            return PictureScore(self._through_head(output.image_embeds[0]))
        text, picture = (
            embedding[0].double() / embedding[0].double().norm()
            for embedding in (output.text_embeds, output.image_embeds)
        )
        return PictureScore(float(output.logits_per_text[0, 0]), float(text @ picture))

    def _read_jointly(self, ids: torch.Tensor, pixels: torch.Tensor) -> PictureScore:
        picture = self._model.vision_model(pixel_values=pixels).last_hidden_state
        output = self._model.text_encoder(
            input_ids=ids,
            attention_mask=ids.new_ones(ids.shape),
            encoder_hidden_states=picture,
            encoder_attention_mask=ids.new_ones(picture.shape[:2]),
        )
        return PictureScore(self._through_head(output.last_hidden_state[0, 0]))

    def _through_head(self, vector: torch.Tensor) -> float:
        for weight, bias in self._head:
            vector = weight @ vector + bias
        return float(vector[0])

    def _width(self) -> int:
        """Numbers that the head reads."""
        config = self._model.config
        return int(config.text_config.hidden_size if self.kind == "image_reward" else config.projection_dim)

    def _check(self, path: Path) -> None:
        """Prove that the tokenizer keeps texts apart and that its ids are ids of the model."""
        rows = int(self._model.config.text_config.vocab_size)
        highest = max(self._tokenizer.get_vocab().values(), default=0)
        if highest >= rows:
            raise ModelUnusableError(
                f"{path}: the tokenizer's highest id is {highest}, but the model embeds {rows} ids; "
                "use the tokenizer of this model"
            )
        texts = [
            self._tokenizer.decode([token]).strip() for token in sorted(self._tokenizer.get_vocab().values())[::97]
        ]
        probes = [text for text in texts if text][:8] or list(_PROBES)
        if self.kind != "aesthetic" and len({self.asked(probe).ids for probe in ("", *probes)}) < 3:
            raise ModelUnusableError(
                f"{path}: the tokenizer loses text; use the tokenizer that the model was trained with"
            )


def _digest(file: Path) -> str:
    return "head sha256:" + sha256(file.read_bytes()).hexdigest()[:32]


def _read_head(file: Path, width: int, model: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Weights and biases, in order, from the numbers that it reads down to one."""
    from safetensors.torch import load_file

    with errors_named(file, "head", "give a safetensors file of linear layers"):
        tensors = load_file(file)
        names = {name.rpartition(".")[0] for name in tensors}
        order = sorted(names, key=lambda name: [int(digits) for digits in _NUMBER.findall(name)])
        layers = []
        for name in order:
            dot = f"{name}." if name else ""
            weight, bias = tensors[f"{dot}weight"], tensors[f"{dot}bias"]
            if weight.dim() != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
                raise ValueError(
                    f"layer {name or 'weight'} has the shape {tuple(weight.shape)}; {width} numbers come in"
                )
            layers.append((weight.to(model.device, model.dtype), bias.to(model.device, model.dtype)))
            width = len(bias)
        if not layers or width != 1:
            raise ValueError(f"its layers end in {width} numbers, not in one")
    return layers
