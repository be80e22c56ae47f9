"""What can be computed of pictures: likeness to another one, and colours."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reward_servers.engines.media._images import Image

Array = NDArray[np.float64]

_SIGMA, _REACH = 1.5, 5
_K1, _K2, _RANGE = 0.01, 0.03, 255.0
_PACKED = np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
SMALLEST = 2 * _REACH + 1
"""Pixels of the shorter side of the smallest picture that has a structural similarity."""


def structural_similarity(first: Image, second: Image) -> float:
    """Mean structural similarity of two pictures of one size, in shades of grey; 1 for the same picture.

    Source: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
    similarity" (IEEE Transactions on Image Processing 13, 2004): a Gaussian window of 11 x 11 with a deviation of 1.5,
    K1 = 0.01, K2 = 0.03, without the borders.

    Raises:
        ValueError: They differ in size, or are smaller than the window.
    """
    if (first.width, first.height) != (second.width, second.height) or min(first.width, first.height) < SMALLEST:
        raise ValueError(f"pictures of one size, of at least {SMALLEST} pixels a side")
    x, y = _grey(first), _grey(second)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x, variance_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(above / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def colour_share(image: Image, colours: Sequence[tuple[int, int, int]], distance: float) -> tuple[float, float]:
    """How far a picture keeps to some colours.

    Args:
        image: The picture.
        colours: Red, green and blue of each, from 0 to 255.
        distance: Euclidean distance up to which a pixel has a colour.

    Returns:
        Share of the pixels that have one of the colours, and share of the colours that some pixel has.
    """
    packed, counts = np.unique(_rgb(image).astype(np.uint32) @ _PACKED, return_counts=True)
    pixels = np.stack([packed >> 16 & 255, packed >> 8 & 255, packed & 255], axis=1).astype(np.float64)
    near = [np.sum((pixels - np.array(colour, float)) ** 2, axis=1) <= distance**2 for colour in colours]
    return float(counts[np.any(near, axis=0)].sum() / counts.sum()), float(np.mean([mask.any() for mask in near]))


def _rgb(image: Image) -> NDArray[np.uint8]:
    from PIL import Image as pillow

    return np.asarray(pillow.open(io.BytesIO(image.png)).convert("RGB"))


def _grey(image: Image) -> Array:
    """Luma as ITU-R BT.601 weighs it."""
    grey: Array = _rgb(image).astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    return grey


@lru_cache(maxsize=1)
def _window() -> Array:
    weights = np.exp(-(np.arange(-_REACH, _REACH + 1) ** 2) / (2 * _SIGMA**2))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _blur(array: Array) -> Array:
    """Means by the window, where it lies wholly inside."""
    for axis in (0, 1):
        size = array.shape[axis] - 2 * _REACH
        total = np.zeros_like(np.take(array, range(size), axis))
        for at, weight in enumerate(_window()):
            total += weight * np.take(array, range(at, at + size), axis)
        array = total
    return array
