"""The structural similarity of two pictures is that of scikit-image, on 1,000 random pairs."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import metrics

from reward_servers.engines.media import Image, ImageLimits, colour_share, read_image, structural_similarity

THEIRS: Any = metrics.structural_similarity


def picture(pixels: np.ndarray[Any, Any]) -> Image:
    written = io.BytesIO()
    Pillow.fromarray(pixels.astype(np.uint8)).save(written, "PNG")
    return read_image(written.getvalue(), ImageLimits())


def test_structural_similarity_is_that_of_scikit_image() -> None:
    draw = np.random.default_rng(3)
    weights = np.array([0.299, 0.587, 0.114])
    for _ in range(1000):
        height, width = draw.integers(11, 24, 2)
        one = draw.integers(0, 256, (height, width, 3))
        other = np.clip(one + draw.normal(0, draw.choice([1, 20, 200]), one.shape), 0, 255).astype(np.uint8)
        expected = THEIRS(
            one.astype(float) @ weights,
            other.astype(float) @ weights,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=255,
        )
        assert structural_similarity(picture(one), picture(other)) == pytest.approx(expected, abs=1e-9)


def test_pictures_of_other_sizes_have_no_similarity() -> None:
    with pytest.raises(ValueError, match="one size"):
        structural_similarity(picture(np.zeros((12, 12, 3))), picture(np.zeros((12, 13, 3))))


def test_colours_are_met_within_their_distance() -> None:
    pixels = np.zeros((10, 10, 3))
    pixels[:, 5:] = (255, 0, 0)
    assert colour_share(picture(pixels), [(255, 0, 0)], 0) == (0.5, 1.0)
    assert colour_share(picture(pixels), [(250, 0, 0), (0, 255, 0)], 5) == (0.5, 0.5)
    assert colour_share(picture(pixels), [(250, 0, 0)], 4) == (0.0, 0.0)
