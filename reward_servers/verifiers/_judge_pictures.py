"""The pictures of a rollout, as a judge is shown them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from reward_servers import DatasetError, Rollout, Score, StartupError
from reward_servers.core import Message
from reward_servers.engines.media import Image, ImageLimits, MediaError, read_image

_MOST = 16
_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class Pictures:
    """URLs of the pictures of prompt and response.

    Attributes:
        prompt: Those of the prompt.
        response: Those of the response.
        others: Those of each response beside which it is judged.
        refused: The floor score of a response whose pictures cannot be shown; None when all can.
    """

    prompt: tuple[str, ...] = ()
    response: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()
    refused: Score | None = None

    @property
    def any(self) -> bool:
        """Whether there is a picture."""
        return bool(self.prompt or self.response or any(self.others))


@lru_cache(maxsize=32)
def _read(data: bytes) -> Image:
    """One picture; those of a prompt are read once for its group."""
    return read_image(data, _LIMITS)


def check_reader() -> None:
    """Make sure that pictures can be read.

    Raises:
        StartupError: Pillow is missing.
    """
    try:
        import PIL  # noqa: F401 - whether it is there is what is asked
    except ImportError as error:
        raise StartupError(f"judge: images: {error}; install it with: pip install 'assay[vision]'") from None


async def pictures_of(rollout: Rollout, *, transcript: bool, others: Sequence[Sequence[bytes]] = ()) -> Pictures:
    """The pictures of a rollout.

    Args:
        rollout: The rollout.
        transcript: Whether those of all turns of the response are shown, or those of the last one.
        others: Files of the pictures of each response beside which it is judged.

    Raises:
        DatasetError: A picture of the prompt, or of another response, cannot be shown.
    """
    prompt_blobs = blobs_of(rollout.prompt_messages)
    response_blobs = blobs_of(rollout.messages if transcript else rollout.messages[-1:])
    if not prompt_blobs and not response_blobs and not any(others):
        return Pictures()
    try:
        prompt = await asyncio.to_thread(_urls, prompt_blobs)
    except MediaError as error:
        raise DatasetError(f"prompt: {error}", code="invalid_prompt") from None
    try:
        beside = tuple([await asyncio.to_thread(_urls, response) for response in others])
    except MediaError as error:
        raise DatasetError(f"reference: another response holds {error}") from None
    try:
        return Pictures(prompt, await asyncio.to_thread(_urls, response_blobs), beside)
    except MediaError as error:
        return Pictures(prompt, refused=Score.floor(error.reason, f"the response holds {error}"))


def _urls(blobs: Sequence[bytes]) -> tuple[str, ...]:
    if len(blobs) > _MOST:
        raise MediaError(f"{len(blobs)} pictures, of at most {_MOST}", "limit")
    return tuple(_read(data).url for data in blobs)


def blobs_of(messages: Sequence[Message]) -> list[bytes]:
    """The bytes of all that is neither text nor reasoning."""
    return [part.data for message in messages for part in message.parts if part.kind == "blob"]
