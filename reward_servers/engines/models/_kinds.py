"""Models that are read in other ways than one score for a sequence: token classifiers and encoders of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from reward_servers.engines.models._causal import last_only
from reward_servers.engines.models._loading import (
    Loaded,
    MayLack,
    ModelUnusableError,
    check_device,
    errors_named,
    fingerprint_of,
    nothing,
    of_pooler,
    positions_of,
    read_tokenizer,
    read_weights,
    takes_segments,
)
from reward_servers.engines.models._mean_pooling import averaged
from reward_servers.engines.models._memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Summary = Literal["mean", "first", "last"]


class NoMemoryError(RuntimeError):
    """The device has no memory for a sequence, even if it is computed alone."""


def load_token_classifier(path: Path, *, device: str, dtype: str, threads: int = 0) -> Loaded:
    """Load a classifier of tokens, such as a process reward model.

    Args:
        path: A directory with configuration, tokenizer and safetensors weights.
        device: Where to run, such as ``"cpu"`` or ``"cuda:0"``.
        dtype: Name of a floating-point type of torch.
        threads: Threads of this process for computing on the CPU; 0 leaves the choice to torch.

    Returns:
        The model and its tokenizer.

    Raises:
        ModelUnusableError: The files or the device cannot be used.
        ImportError: torch or transformers is missing.
    """
    from transformers import AutoModelForTokenClassification

    return _load(path, AutoModelForTokenClassification, "a token classifier", device, dtype, threads)


def load_encoder(path: Path, *, device: str, dtype: str, threads: int = 0) -> Loaded:
    """Load a model that gives hidden states; arguments and errors as above. A pooler without weights is not used."""
    from transformers import AutoModel

    return _load(path, AutoModel, "an encoder of texts", device, dtype, threads, of_pooler)


def load_towers(path: Path, *, joint: bool, device: str, dtype: str, threads: int = 0) -> Loaded:
    """Load a model that reads a text and a picture; arguments and errors as above.

    Args:
        path: See above.
        joint: Whether the text is read in view of the picture (BLIP), or each by itself (CLIP, SigLIP).
        device: See above.
        dtype: See above.
        threads: See above.
    """
    import transformers

    if joint:
        kind, label = transformers.BlipForImageTextRetrieval, "a BLIP model"
        return _load(path, kind, label, device, dtype, threads, _unread)
    loaded = _load(path, transformers.AutoModel, "a model of two towers", device, dtype, threads)
    if not all(hasattr(loaded.model, name) for name in ("text_model", "vision_model", "logit_scale")):
        kind_found = type(loaded.model).__name__
        raise ModelUnusableError(f"{path} is a {kind_found}, not a model of two towers; give one such as CLIP")
    return loaded


def _unread(model: Any, name: str) -> bool:
    """Whether a weight of BLIP is of the parts that are not read here."""
    return name.startswith(("itm_head.", "vision_proj.", "text_proj."))


def _load(
    path: Path, kind: Any, label: str, device: str, dtype: str, threads: int, may_lack: MayLack = nothing
) -> Loaded:
    import torch

    if not (path / "config.json").is_file():
        raise ModelUnusableError(f"{path} is not a directory with a config.json; give the path of a downloaded model")
    if threads:
        torch.set_num_threads(threads)
    check_device(torch, device)
    tokenizer = read_tokenizer(path)
    model = read_weights(path, kind, dtype, label, may_lack)
    with errors_named(path, "model", "free memory of the device, or give a smaller model"):
        model = model.eval().requires_grad_(False).to(device)
    return Loaded(path, model, tokenizer, device, positions_of(model, tokenizer), fingerprint_of(path, dtype, device))


class Reader:
    """Runs a model on one sequence at a time without padding: the output depends on the sequence alone."""

    def __init__(self, loaded: Loaded) -> None:
        import torch

        self._torch = torch
        self._loaded = loaded
        self._has_types = takes_segments(loaded.model)
        self._last_only = last_only(loaded.model)

    def outputs(self, ids: Sequence[int], places: Sequence[int]) -> torch.Tensor:
        """``[len(places), outputs]`` logits at some tokens, in float64 on the CPU.

        Raises:
            NoMemoryError: The device has no memory for the sequence.
        """
        logits: torch.Tensor = self._run(ids, ()).logits[0, list(places)].double().cpu()
        return logits

    def log_likelihoods(self, ids: Sequence[int], start: int) -> list[float]:
        """Logarithm of the probability of each token from ``start`` on, given those before it.

        Raises:
            NoMemoryError: The device has no memory for the sequence.
        """
        logits = self._run(ids, (), **{name: len(ids) - start + 1 for name in self._last_only}).logits[0]
        chances = self._torch.log_softmax(logits[-(len(ids) - start) - 1 : -1].float(), -1)
        targets = self._torch.tensor(list(ids[start:]), device=chances.device)
        return [float(chance) for chance in chances.gather(1, targets[:, None])[:, 0].cpu()]

    def summary(self, ids: Sequence[int], types: Sequence[int], how: Summary) -> torch.Tensor:
        """``[H]`` hidden states of a text made one: their mean, or that of its first or last token; in float64.

        Raises:
            NoMemoryError: The device has no memory for the sequence.
        """
        hidden = self._run(ids, types).last_hidden_state
        numbers: torch.Tensor = (
            averaged(hidden)[0] if how == "mean" else hidden[0, 0] if how == "first" else hidden[0, -1]
        )
        return numbers.double().cpu()

    def _run(self, ids: Sequence[int], types: Sequence[int], **more: Any) -> Any:
        torch, device = self._torch, self._loaded.device
        inputs = {"input_ids": torch.tensor([list(ids)], dtype=torch.long, device=device)}
        if self._has_types:
            inputs["token_type_ids"] = torch.tensor([list(types) or [0] * len(ids)], device=device)
        return within_memory(lambda: self._loaded.model(**inputs, **more), device, f"{len(ids)} tokens")


def within_memory(compute: Callable[[], T], device: str, label: str) -> T:
    """Compute something without gradients. If memory runs out, drop the caches and try once more.

    Raises:
        NoMemoryError: The device has no memory for it.
    """
    import torch

    for last in (False, True):
        try:
            with torch.inference_mode():
                return compute()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if last:
                raise NoMemoryError(f"the device has no memory for {label}") from None
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
    raise AssertionError("unreachable")
