"""Images of rows: files beside the rows, data URLs, columns of bytes. They become data URLs, bounded and checked."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer_client._errors import RolloutError

LARGEST_IMAGE = 20 << 20
"""Bytes of one image."""
_MOST_IMAGES = 64
_PLACE = "<image>"
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp")


class Media:
    """Reads images of rows.

    Args:
        root: folder that paths are relative to, and that no path may leave.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))

    def place(self, table: dict[str, Any]) -> dict[str, Any]:
        """A row with its images in the messages that show them.

        Images of a column ``images`` (or ``image``) go where the prompt has parts of the type ``image`` or the mark
        ``<image>``, in their order; where it has none, before the text of its last question.

        Raises:
            RolloutError: an image cannot be read, or has no place.
        """
        column = next((name for name in ("images", "image") if _are_images(table.get(name))), "")
        cells = _listed(table[column]) if column else []
        if not cells and not any(_shows(table.get(name)) for name in ("prompt", "response")):
            return table
        if len(cells) > _MOST_IMAGES:
            raise RolloutError(f"has {len(cells)} images; at most {_MOST_IMAGES} are allowed", column)
        table = {name: value for name, value in table.items() if name != column}
        waiting = iter([self._url(image, f"{column}[{number}]") for number, image in enumerate(cells)])
        for name in ("prompt", "response"):
            if isinstance(table.get(name), str | list):
                table[name] = self._filled(table[name], waiting, name)
        if left := list(waiting):
            table["prompt"] = _before_question(table.get("prompt") or "", left)
        return table

    def _filled(self, content: Any, waiting: Iterator[str], place: str) -> Any:
        """Text or messages with images where they are shown."""
        if isinstance(content, str):
            parts = _split(content, waiting)
            return content if parts is None else [{"role": "user", "content": parts}]
        if not all(isinstance(message, Mapping) for message in content):
            return content
        return [
            {**message, "content": self._parts(message["content"], waiting, f"{place}[{number}]")}
            if "content" in message
            else message
            for number, message in enumerate(content)
        ]

    def _parts(self, content: Any, waiting: Iterator[str], place: str) -> Any:
        if isinstance(content, str):
            return _split(content, waiting) or content
        if not isinstance(content, list):
            return content
        return [self._part(part, waiting, f"{place}.content[{number}]") for number, part in enumerate(content)]

    def _part(self, part: Any, waiting: Iterator[str], place: str) -> Any:
        if not isinstance(part, Mapping) or part.get("type") not in ("image", "image_url", "input_image"):
            # A table gives each part the columns of all: those of other kinds are null.
            return (
                {key: value for key, value in part.items() if value is not None} if isinstance(part, Mapping) else part
            )
        source: Any = part.get("image_url") or part.get("image") or part.get("url") or part.get("path")
        if isinstance(source, Mapping) and "url" in source:
            source = source["url"]
        url = self._url(source, place) if source is not None else next(waiting, None)
        if url is None:
            raise RolloutError("refers to an image that the row does not have", place)
        return {"type": "image_url", "image_url": {"url": url}}

    def _url(self, image: Any, place: str) -> str:
        if isinstance(image, Mapping):
            # How data sets store images: the bytes, or where they are.
            image = image.get("bytes") or image.get("path") or image.get("url")
        if isinstance(image, str) and image.startswith("data:"):
            if len(image) > LARGEST_IMAGE * 4 // 3 + 100:
                raise RolloutError(f"is larger than {LARGEST_IMAGE >> 20} MiB", place)
            return image
        if isinstance(image, str):
            image = self._read(image, place)
        if not isinstance(image, bytes):
            raise RolloutError(f"expected a path, a data: URL or bytes, found {type(image).__name__}", place)
        if len(image) > LARGEST_IMAGE:
            raise RolloutError(f"is larger than {LARGEST_IMAGE >> 20} MiB", place)
        return f"data:{_kind(image, place)};base64,{base64.b64encode(image).decode()}"

    def _read(self, path: str, place: str) -> bytes:
        if "://" in path and not path.startswith("file://"):
            raise RolloutError("images are not downloaded; save the image beside the file and give its path", place)
        if "\0" in path:
            raise RolloutError(f"{path!r} is not a path", place)
        target = os.path.realpath(self._root / path.removeprefix("file://"))
        if not Path(target).is_relative_to(self._root):
            raise RolloutError(f"{path!r} is outside of {self._root}; give --media-root FOLDER", place)
        try:
            # Of a pipe or a device nothing is read, and nothing is waited for.
            handle = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except OSError as error:
            raise RolloutError(f"{path!r} cannot be read under {self._root}: {error.strerror}", place) from None
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise RolloutError(f"{path!r} is not a file", place)
            with open(handle, "rb", closefd=False) as file:
                return file.read(LARGEST_IMAGE + 1)
        finally:
            os.close(handle)


def _shows(content: Any) -> bool:
    """Whether messages have a part that is an image, however it is written."""
    if not isinstance(content, list):
        return False
    messages = [message for message in content if isinstance(message, Mapping)]
    parts = [part for message in messages for part in _listed(message.get("content"))]
    return any(isinstance(part, Mapping) and "image" in str(part.get("type")) for part in parts)


def _are_images(value: Any) -> bool:
    """Whether a column holds images, and not, say, the name of a container's image."""
    images = _listed(value)
    return bool(images) and all(
        isinstance(image, bytes)
        or (isinstance(image, Mapping) and not image.keys().isdisjoint(("bytes", "path", "url")))
        or (isinstance(image, str) and (image.startswith("data:image") or image.lower().endswith(_SUFFIXES)))
        for image in images
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _split(text: str, waiting: Iterator[str]) -> list[dict[str, Any]] | None:
    """A text with the images that its marks show; None where it shows none."""
    pieces = text.split(_PLACE)
    parts: list[dict[str, Any]] = [{"type": "text", "text": pieces[0]}] if pieces[0] else []
    has_picture = False
    for piece in pieces[1:]:
        url = next(waiting, None)
        # A mark without an image is a text that speaks of marks.
        parts.append({"type": "text", "text": _PLACE} if url is None else _picture_part(url))
        has_picture = has_picture or url is not None
        if piece:
            parts.append({"type": "text", "text": piece})
    return parts if has_picture else None


def _picture_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _before_question(prompt: Any, urls: list[str]) -> Any:
    images = [_picture_part(url) for url in urls]
    if isinstance(prompt, str):
        return [{"role": "user", "content": [*images, {"type": "text", "text": prompt}]}]
    last = max((number for number, message in enumerate(prompt) if message.get("role") == "user"), default=None)
    if last is None:
        return [*prompt, {"role": "user", "content": images}]
    content = prompt[last].get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    return [*prompt[:last], {**prompt[last], "content": [*images, *parts]}, *prompt[last + 1 :]]


def _kind(data: bytes, place: str) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for mark, kind in _KINDS:
        if data.startswith(mark):
            return kind
    raise RolloutError("is not a PNG, JPEG, GIF, WebP or BMP image", place)
