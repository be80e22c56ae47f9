"""Settings that verifiers with a model share, and the errors for a model that cannot be used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from reward_servers import DatasetError, Fault, Item, Rollout, Score, ServiceError, Settings, StartupError
from reward_servers.core import DeviceLostError
from reward_servers.engines.models import EncodingError, ModelUnusableError, NoMemoryError, is_lost_device
from reward_servers.engines.text import visible

TOKENS_OF_CPU = 4096
"""On a CPU every sequence is computed by itself, and results come when their batch is done."""
TOKENS_OF_DEVICE = 16384


class ModelSettings(Settings):
    """A model, and where it runs."""

    path: Path = Field(description="Directory with configuration, tokenizer and safetensors weights.")
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    threads: int = Field(0, ge=0, description="Threads for computing on the CPU; 0 leaves the choice to torch.")
    max_length: int = Field(4096, ge=8, description="Tokens of a sequence; less when the model takes fewer.")
    batch_tokens: int = Field(0, ge=0, description="Tokens that are scored together; 0 chooses by the device.")

    def tokens_of_a_batch(self) -> int:
        """Tokens of a batch."""
        return self.batch_tokens or (TOKENS_OF_CPU if self.device == "cpu" else TOKENS_OF_DEVICE)

    def where(self) -> dict[str, Any]:
        """The settings as arguments of the loaders."""
        return {"device": self.device, "dtype": self.dtype, "threads": self.threads}


class ScaledSettings(ModelSettings):
    """Settings of a model whose standardised output can be scaled linearly to a score."""

    linear_range: float = Field(
        20.0, gt=0, allow_inf_nan=False, description="For scale 'linear': -range to range becomes 0 to 1."
    )

    def linear(self, standard: float) -> float:
        """The score of a standardised number for scale 'linear'."""
        return min(1.0, max(0.0, 0.5 + standard / (2 * self.linear_range)))


@contextmanager
def loading(name: str, extras: str = "model") -> Iterator[None]:
    """Tell the operator why a model cannot be used.

    Args:
        name: Of the verifier.
        extras: What it needs installed.

    Raises:
        StartupError: It cannot be used. The message says why and names the remedy.
    """
    try:
        yield
    except ImportError as error:
        raise StartupError(f"{name}: {error}; install it with: pip install 'assay[{extras}]'") from None
    except (ModelUnusableError, EncodingError) as error:
        raise StartupError(f"{name}: {error}") from None


@contextmanager
def computing() -> Iterator[None]:
    """Tell the server when the device is lost.

    Raises:
        DeviceLostError: The device no longer computes.
    """
    try:
        yield
    except RuntimeError as error:
        if is_lost_device(error):
            raise DeviceLostError(str(error).splitlines()[0]) from None
        raise


class OneByOne(ABC):
    """A verifier whose model runs each item of a batch alone. An item too large for memory affects no other item."""

    def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
        """Judge each item by itself."""
        with computing():
            return [self._settled(item) for item in items]

    def _settled(self, item: Item) -> Score | Fault:
        try:
            return self._scored(item)
        except NoMemoryError as error:
            return ServiceError(f"{error}; lower max_length or free memory", code="out_of_memory").to_fault()

    @abstractmethod
    def _scored(self, item: Item) -> Score | Fault:
        """Judge one item.

        Raises:
            NoMemoryError: The device has no memory for it.
        """


def turns(content: str | tuple[Any, ...], role: str) -> tuple[tuple[str, str], ...]:
    """The turns of a prompt or response, with their visible text."""
    if isinstance(content, str):
        return ((role, content),) if content or role == "assistant" else ()
    return tuple((message.role, message.text) for message in content)


def visible_or_floor(rollout: Rollout) -> str | Score:
    """The visible text of the response; the floor score of one that has none."""
    text = visible(rollout.response, rollout.reasoning_marks).text
    return text if text.strip() else Score.floor("no_answer", "the response is empty")


def no_room(tokens: int, most: int) -> Fault:
    """The fault of a prompt that leaves a response no room.

    Args:
        tokens: Of as much of the prompt as was read.
        most: That the model takes.
    """
    message = f"prompt: at least {tokens} tokens leave no room for a response within {most}"
    return DatasetError(message, code="prompt_too_long").to_fault()
