"""Reading a causal language model: from a directory, or from one GGUF file."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from typing import Any

from reward_servers.engines.models._loading import (
    Loaded,
    ModelUnusableError,
    check_device,
    dtype_option,
    errors_named,
    fingerprint_of,
    positions_of,
    quietly,
    read_tokenizer,
    read_weights,
    refuse_missing,
)

_WHAT = "a causal language model"
_REMEDY = f"download the model again; it must be {_WHAT}"


def load_causal(path: Path, *, device: str, dtype: str, threads: int = 0) -> Loaded:
    """Load a causal language model.

    Args:
        path: A directory with configuration, tokenizer and safetensors weights, or one GGUF file, whose weights are
            widened to ``dtype``.
        device: Where to run, such as ``"cpu"`` or ``"cuda:0"``.
        dtype: Name of a floating-point type of torch.
        threads: Threads of this process for computing on the CPU; 0 leaves the choice to torch.

    Returns:
        The model and its tokenizer.

    Raises:
        ModelUnusableError: The files or the device cannot be used.
        ImportError: torch, transformers or, for a GGUF file, gguf is missing.
    """
    import torch
    from transformers import AutoModelForCausalLM

    if threads:
        torch.set_num_threads(threads)
    gguf = path.suffix == ".gguf" and path.is_file()
    if not gguf and not (path / "config.json").is_file():
        raise ModelUnusableError(
            f"{path} is neither a GGUF file nor a directory with a config.json; give the path of a downloaded model"
        )
    check_device(torch, device)
    if gguf:
        model, tokenizer = _read_gguf(path, dtype)
    else:
        tokenizer = read_tokenizer(path)
        model = read_weights(path, AutoModelForCausalLM, dtype, _WHAT)
    if model.config.is_encoder_decoder or not _only_looks_back(model):
        raise ModelUnusableError(f"{path} is not {_WHAT}: it reads ahead; give one that writes text")
    with errors_named(path, "model", "free memory of the device, or give a smaller model"):
        model = model.eval().requires_grad_(False).to(device)
    return Loaded(path, model, tokenizer, device, positions_of(model, tokenizer), fingerprint_of(path, dtype, device))


def last_only(model: Any) -> tuple[str, ...]:
    """What a model's argument is called that says how many last tokens it scores all words for; none for others.

    The scores of every word at every place of a long conversation would need gigabytes.
    """
    parameters = inspect.signature(model.forward).parameters
    return tuple(name for name in ("logits_to_keep", "num_logits_to_keep") if name in parameters)


def _read_gguf(path: Path, dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if importlib.util.find_spec("gguf") is None:
        raise ImportError("gguf is not installed, which reading a GGUF file needs")
    where: dict[str, Any] = {"gguf_file": path.name, "local_files_only": True, "trust_remote_code": False}
    with quietly(), errors_named(path, "model", _REMEDY):
        tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, output_loading_info=True, **where, **dtype_option(getattr(torch, dtype))
        )
    model, info = loaded
    refuse_missing(path, model, info, _WHAT)
    return model, tokenizer


def _only_looks_back(model: Any) -> bool:
    """Whether the model's output at a token is independent of the tokens that follow."""
    import torch

    rows = model.get_input_embeddings().num_embeddings
    ids = torch.arange(8)[None] % rows
    with torch.inference_mode():
        long_logits, short_logits = model.eval()(input_ids=ids).logits[0, 3], model(input_ids=ids[:, :4]).logits[0, 3]
    return bool(torch.allclose(long_logits.float(), short_logits.float(), atol=1e-2, rtol=1e-2))
