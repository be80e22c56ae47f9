"""Checks of a generated picture that compute: size, aspect, colours, likeness to a reference."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from typing import Literal

from pydantic import Field, field_validator

from reward_servers import DatasetError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.media import (
    SMALLEST,
    Image,
    ImageLimits,
    MediaError,
    colour_share,
    read_image,
    structural_similarity,
)
from reward_servers.verifiers._shown import picture_of

_LARGEST = 9_000_000
_LIMITS = ImageLimits(pixels=_LARGEST, side=_LARGEST)  # A picture is judged at its own size and never made smaller.
_CHECKS = ("size", "aspect", "palette", "colours", "similarity")
_ASPECT = re.compile(r"(\d+(?:\.\d+)?)\s*[:/x]\s*(\d+(?:\.\d+)?)")


class ImageReference(Reference):
    """Requirements of the picture. Without any, it is enough that the picture can be decoded."""

    width: int | None = Field(None, ge=1, description="Its width in pixels.")
    height: int | None = Field(None, ge=1, description="Its height in pixels.")
    aspect: str | None = Field(None, description="Its width by its height, such as `16:9`.")
    colours: list[str] = Field([], max_length=64, description="Colours that it keeps to, such as `#ff8800`.")
    image: str | None = Field(
        None, min_length=1, description="The picture that it is to be like: base64, or a data: URL."
    )

    @field_validator("aspect")
    @classmethod
    def _check_aspect(cls, value: str | None) -> str | None:
        if value is not None and not ((match := _ASPECT.fullmatch(value)) and min(map(float, match.groups())) > 0):
            raise ValueError(f"two numbers such as 16:9, not {value!r}")
        return value

    @field_validator("colours")
    @classmethod
    def _check_colours(cls, values: list[str]) -> list[str]:
        for value in values:
            if not re.fullmatch(r"#?[0-9a-fA-F]{6}", value):
                raise ValueError(f"six hexadecimal digits such as #ff8800, not {value!r}")
        return values


class ImageOptions(Options):
    """How checks become a score, and how far each may be off."""

    grade: Literal["mean", "all"] = Field(
        "mean", description="Mean of the checks, or 1 when each reaches its least value."
    )
    pixels: int = Field(0, ge=0, description="Pixels that width and height may be off.")
    aspect_error: float = Field(0.02, ge=0, lt=1, description="Relative error of the aspect that is right.")
    distance: float = Field(
        40.0, ge=0, le=442, description="Distance in red, green and blue up to which a colour is met."
    )
    min_palette: float = Field(0.9, ge=0, le=1, description="Share of pixels in the colours, for grade = 'all'.")
    min_similarity: float = Field(0.9, ge=0, le=1, description="Structural similarity, for grade = 'all'.")


@lru_cache(maxsize=16)
def _reference(text: str) -> Image:
    """The picture of a reference.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        return read_image(base64.b64decode(text.rpartition(",")[2], validate=True), _LIMITS)
    except (binascii.Error, MediaError) as error:
        raise DatasetError(f"reference.image: {error}") from None


def _check_names(ref: ImageReference) -> set[str]:
    """The checks that a reference asks for."""
    names = {"size"} if ref.width is not None or ref.height is not None else set()
    names |= {"aspect"} if ref.aspect is not None else set()
    names |= {"palette", "colours"} if ref.colours else set()
    return names | ({"similarity"} if ref.image is not None else set())


def _checks(picture: Image, ref: ImageReference, options: ImageOptions) -> dict[str, float]:
    values: dict[str, float] = {}
    sides = [(picture.width, ref.width), (picture.height, ref.height)]
    if ref.width is not None or ref.height is not None:
        values["size"] = float(all(side is None or abs(actual - side) <= options.pixels for actual, side in sides))
    if ref.aspect is not None:
        match = _ASPECT.fullmatch(ref.aspect)
        assert match is not None
        right = float(match[1]) / float(match[2])
        values["aspect"] = float(abs(picture.width / picture.height / right - 1) <= options.aspect_error)
    if ref.colours:
        colours = [(int(colour[-6:-4], 16), int(colour[-4:-2], 16), int(colour[-2:], 16)) for colour in ref.colours]
        values["palette"], values["colours"] = colour_share(picture, colours, options.distance)
    if ref.image is not None:
        right_image = _reference(ref.image)
        if min(right_image.width, right_image.height) < SMALLEST:
            raise DatasetError(f"reference.image: {SMALLEST} pixels a side are needed")
        same_size = (picture.width, picture.height) == (right_image.width, right_image.height)
        values["similarity"] = max(0.0, structural_similarity(picture, right_image)) if same_size else 0.0
    return values


@verifier(
    "image",
    version="1",
    limits=ItemLimits(cpu_s=30.0, memory_bytes=2 << 30, response_bytes=16 << 20),
    aspects=dict.fromkeys(("width", "height", *_CHECKS), 0.0),
    libraries=("pillow",),
)
def image(rollout: Rollout, ref: ImageReference, options: ImageOptions) -> Score:
    """Whether a picture can be decoded, has the size, aspect and colours asked for, and is like a reference.

    `palette` is the share of pixels that have one of the colours, `colours` the share of the colours that are there,
    `similarity` the mean structural similarity to a reference of the same size. Source: SSIM
    (Wang et al., IEEE TIP 13, 2004).
    """
    if ref.image is not None:
        _reference(ref.image)
    nothing = dict.fromkeys(_CHECKS) | dict.fromkeys(_check_names(ref), 0.0)
    data = picture_of(rollout)
    if data is None:
        return Score(None, "no_answer", aspects=nothing, note="the response has no picture")
    try:
        picture = read_image(data, _LIMITS)
    except MediaError as error:
        return Score(None, error.reason, aspects=nothing, note=str(error))
    values = _checks(picture, ref, options)
    least = {"palette": options.min_palette, "similarity": options.min_similarity}
    passes = all(value >= least.get(name, 1.0) for name, value in values.items())
    mean = sum(values.values()) / len(values) if values else 1.0
    aspects = {"width": float(picture.width), "height": float(picture.height), **dict.fromkeys(_CHECKS), **values}
    return Score(mean if options.grade == "mean" else float(passes), aspects=aspects)
