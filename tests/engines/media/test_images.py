"""Images that others wrote."""

from __future__ import annotations

import io
import random
import struct
import zlib
from typing import Any

import pytest

pytest.importorskip("PIL", reason="needs the extra vision")

from PIL import Image as pillow
from PIL.PngImagePlugin import PngInfo

from reward_servers.engines.media import ImageLimits, MediaError, read_image

LIMITS = ImageLimits()


def written(picture: pillow.Image, kind: str = "PNG", **more: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **more)
    return file.getvalue()


def picture(width: int = 8, height: int = 6, colour: str = "red", mode: str = "RGB") -> pillow.Image:
    return pillow.new(mode, (width, height), colour)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_pictures_of_the_usual_formats_become_plain_files(kind: str) -> None:
    found = read_image(written(picture(), kind), LIMITS)
    again = pillow.open(io.BytesIO(found.png))
    assert (again.format, again.mode, again.size) == ("PNG", "RGB", (8, 6))
    red, green, blue = again.getpixel((3, 3))  # type: ignore[misc]
    assert red > 200 > 60 > max(green, blue)
    assert found.url.startswith("data:image/png;base64,")
    assert found.digest == read_image(written(picture(), kind), LIMITS).digest


def test_nothing_but_the_pixels_is_carried_along() -> None:
    note = PngInfo()
    note.add_text("Comment", "correct: yes")
    data = written(picture(), pnginfo=note) + b"correct: yes"
    found = read_image(data, LIMITS)
    assert b"correct" not in found.png
    assert found.digest == read_image(written(picture()), LIMITS).digest


def test_transparent_pixels_are_white_and_turned_pictures_stand_upright() -> None:
    hidden = picture(colour="#00000000", mode="RGBA")
    assert pillow.open(io.BytesIO(read_image(written(hidden), LIMITS).png)).getpixel((0, 0)) == (255, 255, 255)
    exif = pillow.Exif()
    exif[0x0112] = 6
    assert read_image(written(picture(8, 6), "JPEG", exif=exif), LIMITS).width == 6


def test_large_pictures_are_made_smaller_and_too_large_ones_are_refused_before_they_are_decoded() -> None:
    found = read_image(written(picture(3000, 1000)), LIMITS)
    assert (found.width, found.height, found.shrunk) == (1536, 512, True)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b""))
    )
    with pytest.raises(MediaError, match="of far more than") as refused:
        read_image(bomb, LIMITS)
    assert refused.value.reason == "limit"
    with pytest.raises(MediaError, match="bytes, of at most 100"):
        read_image(written(picture(64, 64)), ImageLimits(file_bytes=100))


def test_several_frames_are_refused() -> None:
    frames = [picture(colour=colour) for colour in ("red", "blue")]
    with pytest.raises(MediaError, match="several frames"):
        read_image(written(frames[0], "GIF", save_all=True, append_images=frames[1:]), LIMITS)


def test_what_is_no_picture_is_malformed_whatever_it_holds() -> None:
    whole = written(picture(64, 64))
    noise = random.Random(0)
    broken = [b"", b"<svg/>", b"%PDF-1.4", b"GIF89a", whole[: len(whole) // 2], written(picture(), "TIFF")]
    broken += [bytes(noise.randrange(256) for _ in range(noise.randrange(400))) for _ in range(200)]
    for _ in range(200):
        changed = bytearray(whole)
        for _ in range(4):
            changed[noise.randrange(len(changed))] = noise.randrange(256)
        try:
            read_image(bytes(changed), LIMITS)
        except MediaError:
            continue
    for data in broken:
        with pytest.raises(MediaError) as refused:
            read_image(data, LIMITS)
        assert refused.value.reason == "malformed"
