"""Reads an image.

What a model is shown is never the file that came, but its pixels in a file of our own: no second image behind the
first, no comments, no profile, no orientation that one reader follows and another does not.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


class MediaError(ValueError):
    """The image cannot be used.

    Attributes:
        reason: ``"limit"``: it exceeds a bound; ``"malformed"``: it cannot be decoded, or is of no known format.
    """

    def __init__(self, message: str, reason: Literal["limit", "malformed"]) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What an image may cost.

    Attributes:
        file_bytes: Of the file.
        pixels: Of the picture, known before it is decoded.
        side: Pixels of the longer side that a reader is shown; a larger picture is made smaller.
    """

    file_bytes: int = 8 << 20
    pixels: int = 24_000_000
    side: int = 1536


@dataclass(frozen=True, slots=True)
class Image:
    """A picture that was decoded.

    Attributes:
        png: A plain PNG of it.
        width: Its width in pixels, as it is shown.
        height: Its height.
        shrunk: Whether it was larger.
    """

    png: bytes
    width: int
    height: int
    shrunk: bool

    @property
    def digest(self) -> str:
        """Digest of what is shown."""
        return "sha256:" + sha256(self.png).hexdigest()[:32]

    @property
    def url(self) -> str:
        """A ``data:`` URL of it."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


def read_image(data: bytes, limits: ImageLimits) -> Image:
    """Decode an image and encode it again.

    Args:
        data: A PNG, JPEG, WebP, GIF or BMP file with one frame. What its sender calls it counts for nothing.
        limits: What it may cost.

    Raises:
        MediaError: It exceeds a bound, or cannot be decoded.
        ImportError: Pillow is missing.
    """
    from PIL import Image as pillow
    from PIL import ImageOps

    if len(data) > limits.file_bytes:
        raise MediaError(f"an image of {len(data)} bytes, of at most {limits.file_bytes}", "limit")
    try:
        with warnings.catch_warnings():
            # Our own bound stands above Pillow's, and is checked before anything is decoded.
            warnings.simplefilter("ignore")
            opened = pillow.open(io.BytesIO(data), formats=_FORMATS)
            width, height = opened.size
            if width * height > limits.pixels:
                raise MediaError(f"an image of {width} x {height} pixels, of at most {limits.pixels}", "limit")
            if getattr(opened, "n_frames", 1) > 1:
                raise MediaError("an image with several frames; only one can be shown", "limit")
            opened.load()
            picture = ImageOps.exif_transpose(opened)
            transparent = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
            picture = picture.convert("RGBA" if transparent else "RGB")
            if transparent:
                # Readers put transparent pixels on whatever they like; all of them see white.
                picture = pillow.alpha_composite(pillow.new("RGBA", picture.size, "white"), picture).convert("RGB")
            shrunk = max(picture.size) > limits.side
            if shrunk:
                picture.thumbnail((limits.side, limits.side))
            # A new picture of the same pixels carries nothing else along.
            plain = pillow.frombytes("RGB", picture.size, picture.tobytes())
            encoded = io.BytesIO()
            plain.save(encoded, "PNG")
    except MediaError:
        raise
    except MemoryError:
        raise
    except pillow.DecompressionBombError:
        raise MediaError(f"an image of far more than {limits.pixels} pixels", "limit") from None
    except Exception as error:  # noqa: BLE001 - decoders raise anything on what is broken
        raise MediaError(f"an image that cannot be decoded ({type(error).__name__})", "malformed") from None
    return Image(encoded.getvalue(), plain.width, plain.height, shrunk)
