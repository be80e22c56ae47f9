"""How well a picture fits the text that asked for it, or how it looks, by a model from local files."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from reward_servers import CallerError, DatasetError, Fault, Item, ItemLimits, Options, Score, ServiceError, verifier
from reward_servers.engines.media import Image, ImageLimits, MediaError, read_image
from reward_servers.engines.preference import PictureInput, PictureModel, PictureScore
from reward_servers.verifiers._shown import picture_of
from reward_servers.verifiers.models._loading import OneByOne, ScaledSettings, loading

_PIXELS = 24_000_000
_LIMITS = ImageLimits(pixels=_PIXELS, side=_PIXELS)  # The model's own preprocessor makes the picture smaller.


class ImageTextSettings(ScaledSettings):
    """The model, and what it is read by."""

    kind: Literal["clip", "aesthetic", "image_reward"] = Field(
        "clip", description="The scaled cosine of two towers, a head on CLIP's picture, or a head on BLIP's text."
    )
    head: Path | None = Field(None, description="Safetensors file of the head's layers; not for kind 'clip'.")
    mean: float = Field(0.0, allow_inf_nan=False, description="Subtracted from the model's number.")
    std: float = Field(1.0, gt=0, allow_inf_nan=False, description="Divides it after that.")


class ImageTextOptions(Options):
    """How the model's output becomes a score, and the treatment of a long prompt."""

    scale: Literal["auto", "cosine", "sigmoid", "linear"] = Field(
        "auto", description="Of the standardised number, or the cosine where it is above 0; 'auto': that, with 'clip'."
    )
    truncation: Literal["right", "refuse"] = Field(
        "right", description="Of a prompt that is too long: 'right' keeps its beginning, 'refuse' is a fault."
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    asked: PictureInput
    image: Image


# The memory bound is off: a device's libraries reserve far more address space than they use.
@verifier(
    "image_text",
    version="1",
    limits=ItemLimits(cpu_s=300.0, wall_s=300.0, memory_bytes=0, response_bytes=16 << 20),
    max_batch=64,
    aspects={"raw": None, "cosine": -1.0},
)
class ImageText(OneByOne):
    """How well a picture fits its prompt (CLIP, PickScore, HPS, ImageReward), or how it looks (an aesthetic head).

    Sources: CLIPScore (arXiv 2104.08718), PickScore (arXiv 2305.01569), HPS v2 (arXiv 2306.09341), ImageReward
    (arXiv 2304.05977), the aesthetic predictor of LAION.
    """

    Options = ImageTextOptions

    def setup(self, settings: ImageTextSettings) -> None:
        """Load the model."""
        self.batch_tokens = settings.tokens_of_a_batch()
        self._settings = settings
        with loading("image_text", "model,images"):
            import PIL  # noqa: F401 - whether it is there is what is asked

            self._model = PictureModel(
                settings.path, settings.kind, settings.head, settings.max_length, **settings.where()
            )
        self.item_tokens = self._model.max_length

    def prepare(self, item: Item) -> _Prepared | Score | Fault:
        """Decode the picture and encode the prompt."""
        data = picture_of(item.rollout)
        if data is None:
            return Score.floor("no_answer", "the response has no picture")
        if item.options.scale == "cosine" and self._model.kind != "clip":
            return CallerError(f"options.scale: kind {self._model.kind!r} has no cosine", code="no_cosine").to_fault()
        try:
            image = read_image(data, _LIMITS)
        except MediaError as error:
            return Score.floor(error.reason, f"the response holds {error}")
        prompt = self._model.asked(item.rollout.prompt)
        if prompt.cut and item.options.truncation == "refuse":
            message = f"prompt: {prompt.cut + len(prompt.ids)} tokens, of at most {len(prompt.ids)}"
            return DatasetError(message, code="prompt_too_long").to_fault()
        return _Prepared(prompt, image)

    def _scored(self, item: Item) -> Score | Fault:
        prepared: _Prepared = item.prepared
        options: ImageTextOptions = item.options
        output = self._model.see(prepared.asked, prepared.image)
        if not math.isfinite(output.raw) or (output.cosine is not None and not math.isfinite(output.cosine)):
            return ServiceError(f"the model gave {output.raw}", code="not_finite").to_fault()
        evidence = {
            "model": self._model.fingerprint,
            "picture": prepared.image.digest,
            "tokens": len(prepared.asked.ids),
            "cut": prepared.asked.cut,
        }
        value = self._value(output, options.scale)
        return Score(value, aspects={"raw": output.raw, "cosine": output.cosine}, evidence=evidence)

    def _value(self, output: PictureScore, scale: str) -> float:
        if output.cosine is not None and scale in ("auto", "cosine"):
            return min(1.0, max(0.0, output.cosine))
        standard = (output.raw - self._settings.mean) / self._settings.std
        if scale == "linear":
            return self._settings.linear(standard)
        return 0.5 * (1.0 + math.tanh(standard / 2.0))
