"""From a picture to the numbers that a vision model reads, as the model's own preprocessor configuration says."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reward_servers.engines.media._images import Image

_BICUBIC = 3
_FILE = "preprocessor_config.json"
_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize")


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """What is done to a picture.

    Attributes:
        shortest: Pixels that the shorter side is made to have; None where width and height are given.
        size: Height and width that it is made to have; None where the shorter side is given, or nothing is done.
        crop: Height and width of the middle that is cut out; None for all of it.
        resample: Pillow's number of the filter.
        factor: Each byte is multiplied by it.
        mean: Of red, green and blue, subtracted after that.
        std: Divides them after that.
    """

    shortest: int | None = None
    size: tuple[int, int] | None = None
    crop: tuple[int, int] | None = None
    resample: int = _BICUBIC
    factor: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def pixels(self, image: Image) -> NDArray[np.float32]:
        """``[3, height, width]`` numbers of a picture."""
        from PIL import Image as pillow

        picture = pillow.open(io.BytesIO(image.png)).convert("RGB")
        if (target_size := self._target_size(picture.height, picture.width)) is not None:
            picture = picture.resize((target_size[1], target_size[0]), resample=pillow.Resampling(self.resample))
        array = np.asarray(picture)
        if self.crop is not None:
            array = _middle(array, *self.crop)
        scaled = array.astype(np.float64) * self.factor
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalised = (scaled.astype(np.float32) - mean) / std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1), dtype=np.float32)

    def _target_size(self, height: int, width: int) -> tuple[int, int] | None:
        if self.shortest is None:
            return self.size
        # The longer side is cut down to a whole number, and a strip of one pixel keeps one.
        if height <= width:
            return self.shortest, max(1, int(self.shortest * width / height))
        return max(1, int(self.shortest * height / width)), self.shortest


def _middle(array: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The middle of a picture, on black where the picture is smaller."""
    rows, columns = max(height, array.shape[0]), max(width, array.shape[1])
    if (rows, columns) != array.shape[:2]:
        wide = np.zeros((rows, columns, 3), array.dtype)
        top, left = -((array.shape[0] - rows) // 2), -((array.shape[1] - columns) // 2)
        wide[top : top + array.shape[0], left : left + array.shape[1]] = array
        array = wide
    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
    return array[top : top + height, left : left + width]


def read_preprocessor(folder: Path) -> Preprocessor:
    """Read how a model wants its pictures.

    Args:
        folder: A model's directory with ``preprocessor_config.json``.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such configuration, or asks for what is not done here.
    """
    try:
        config = json.loads((folder / _FILE).read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{_FILE}: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{_FILE} holds no object")
    does = {name: bool(config.get(name, True)) for name in _STEPS}
    if "do_center_crop" not in config and "crop_size" not in config:
        does["do_center_crop"] = False
    for name in ("do_pad", "do_flip_channel_order"):
        if config.get(name):
            raise ValueError(f"{_FILE}: {name} is not done here")
    shortest, size = _sides(config.get("size"), "size") if does["do_resize"] else (None, None)
    side, crop = _sides(config.get("crop_size"), "crop_size") if does["do_center_crop"] else (None, None)
    return Preprocessor(
        shortest,
        size,
        (side, side) if side is not None else crop,
        int(config.get("resample", _BICUBIC)),
        float(config.get("rescale_factor", 1 / 255)) if does["do_rescale"] else 1.0,
        _three(config, "image_mean") if does["do_normalize"] else (0.0, 0.0, 0.0),
        _three(config, "image_std") if does["do_normalize"] else (1.0, 1.0, 1.0),
    )


def _sides(value: Any, key: str) -> tuple[int | None, tuple[int, int] | None]:
    """The shorter side, or height and width."""
    match value:
        case int() if value > 0:
            return value, None
        case {"shortest_edge": int(side)} if side > 0:
            return side, None
        case {"height": int(height), "width": int(width)} if height > 0 and width > 0:
            return None, (height, width)
    raise ValueError(f"{_FILE}: {key}: {value!r} is neither a shortest_edge nor a height and a width")


def _three(settings: dict[str, Any], key: str) -> tuple[float, float, float]:
    value = settings.get(key)
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(item, int | float) for item in value)):
        raise ValueError(f"{_FILE}: {key}: {value!r} is not three numbers")
    return float(value[0]), float(value[1]), float(value[2])
