"""Reading a model and its tokenizer from a directory.

Nothing is downloaded and no code of the directory is run. Whatever is wrong with the files is one error that names the
file and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from reward_servers.engines.models._chunked import chunked_classifier, sizes_for
from reward_servers.engines.models._mean_pooling import outputs_of, pooled_classifier, pooled_kind, read_head

_NEEDED = "config.json"
_PIECE = 1 << 22
Pooling = Literal["own", "mean", "chunks"]
_SHOWN = 3
MayLack = Callable[[Any, str], bool]
_HEADS = ("score", "classifier", "classification_head")
# Files that can change a score: the weights, the configuration, and those that turn text into token ids.
_DIGESTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")


class ModelUnusableError(RuntimeError):
    """The files are not a model that can be used here; the message names the file and the remedy."""


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to run, and its tokenizer.

    Attributes:
        path: The directory.
        model: The model of transformers, in evaluation mode, on its device.
        tokenizer: Its tokenizer.
        device: Such as ``"cpu"`` or ``"cuda:0"``.
        max_length: Tokens of the longest sequence that the model has positions for; None when it says no bound.
        fingerprint: Digest of every file that a score depends on, of the floating-point type, the kind of device and
            the libraries' versions.
    """

    path: Path
    model: Any
    tokenizer: Any
    device: str
    max_length: int | None
    fingerprint: str


def load_classifier(path: Path, *, device: str, dtype: str, threads: int = 0) -> Loaded:
    """Load a sequence classifier.

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
    model, tokenizer = _read(path, dtype, device, threads)
    import torch

    with errors_named(path, "model", "free memory of the device, or give a smaller model"):
        model = model.eval().requires_grad_(False).to(device)
    _check_finite(torch, path, model)
    return Loaded(path, model, tokenizer, device, positions_of(model, tokenizer), fingerprint_of(path, dtype, device))


def load_base(
    path: Path, pooling: Pooling = "own", *, outputs: int = 1, of_tokens: bool = False, frozen: bool = False
) -> Loaded:
    """Load a model to train. Only a head that is missing in the files begins with random weights.

    Args:
        path: A directory with configuration, tokenizer and safetensors weights.
        pooling: What the head reads: ``"own"`` what the class of transformers gives it, ``"mean"`` the average of an
            encoder's hidden states, ``"chunks"`` the last state of a decoder, cut into pieces.
        outputs: Numbers that the head gives.
        of_tokens: Whether it gives them for each token, in place of the sequence as a whole.
        frozen: Whether only the last part of the head is trained. The files must then have all weights below it.

    Returns:
        The model in float32, on the CPU, with its tokenizer; weights may be changed.

    Raises:
        ModelUnusableError: The files cannot be used, lack weights below the head, or hold a head of another size.
        ImportError: torch or transformers is missing.
    """
    if pooling != "own" and pooled_kind(path) is None:
        base, tokenizer = _read_encoder(path, "float32")
        model = pooled_classifier(base, outputs) if pooling == "mean" else _chunked(path, base, outputs)
    elif of_tokens:
        model, tokenizer = _read_token_classifier(path, outputs, _last_part if frozen else _above_base)
    else:
        changes = {"num_labels": outputs, "ignore_mismatched_sizes": True}
        model, tokenizer = _read(path, "float32", "cpu", 0, _last_part if frozen else _above_base, **changes)
    if int(model.config.num_labels) != outputs:
        raise ModelUnusableError(
            f"{path}: its head gives {model.config.num_labels} numbers, not {outputs}; begin with the model below it"
        )
    if model.config.pad_token_id is None:
        model.config.pad_token_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    return Loaded(path, model, tokenizer, "cpu", positions_of(model, tokenizer), "")


def _read_token_classifier(path: Path, outputs: int, may_lack: MayLack) -> tuple[Any, Any]:
    from transformers import AutoModelForTokenClassification

    if not (path / _NEEDED).is_file():
        raise ModelUnusableError(f"{path} is not a directory with a {_NEEDED}; give the path of a downloaded model")
    tokenizer = read_tokenizer(path)
    changes = {"num_labels": outputs, "ignore_mismatched_sizes": True}
    kind = AutoModelForTokenClassification
    return read_weights(path, kind, "float32", "a model to train", may_lack, **changes), tokenizer


def reads_last(model: Any) -> bool:
    """Whether a classifier of transformers reads the last token of a sequence, as decoders do."""
    return hasattr(model, "score") and model.base_model is not model


def takes_segments(model: Any) -> bool:
    """Whether a model takes the segment of each token as input."""
    return int(getattr(model.config, "type_vocab_size", None) or 0) > 1


def head_of(model: Any) -> Any | None:
    """The last part of a classifier of transformers, which turns hidden states into its outputs; None if unknown."""
    return next((getattr(model, name) for name in _HEADS if hasattr(model, name)), None)


def _above_base(model: Any, name: str) -> bool:
    """Whether a weight is of what a classifier of transformers has above its base model.

    Its pooler is part of that: where a model was trained to fill gaps in texts, its files have none.
    """
    if model.base_model is model:
        return _last_part(model, name)
    below = f"{model.base_model_prefix}."
    return not name.startswith(below) or name.startswith(f"{below}pooler.")


def _last_part(model: Any, name: str) -> bool:
    """Whether a weight is of the last part of a head, which is all that is trained on a frozen backbone."""
    return name.partition(".")[0] in _HEADS


def of_pooler(model: Any, name: str) -> bool:
    """Whether a weight belongs to an encoder's pooler, which is not used when hidden states are read."""
    return name.startswith("pooler.")


def nothing(model: Any, name: str) -> bool:
    """That no weight may begin random."""
    return False


def _read(
    path: Path, dtype: str, device: str, threads: int, may_lack: MayLack = nothing, **changes: Any
) -> tuple[Any, Any]:
    """A classifier and its tokenizer."""
    if not (path / _NEEDED).is_file():
        raise ModelUnusableError(f"{path} is not a directory with a {_NEEDED}; give the path of a downloaded model")
    import torch
    from transformers import AutoModelForSequenceClassification

    if threads:
        torch.set_num_threads(threads)
    check_device(torch, device)
    if (kind := pooled_kind(path)) is not None:
        base, tokenizer = _read_encoder(path, dtype)
        with errors_named(path / "head.safetensors", "head", "train it again"):
            weights = read_head(path)
            if isinstance(kind, dict):
                return chunked_classifier(base, kind, weights), tokenizer
            if kind != "mean":
                raise ValueError(f"config.json says pooled_head {kind!r}, which is none")
            return pooled_classifier(base, outputs_of(weights), weights), tokenizer
    tokenizer = read_tokenizer(path)
    label = "a model to train" if changes else "a trained sequence classifier"
    return read_weights(path, AutoModelForSequenceClassification, dtype, label, may_lack, **changes), tokenizer


def _read_encoder(path: Path, dtype: str) -> tuple[Any, Any]:
    """A model that gives hidden states, and its tokenizer."""
    from transformers import AutoModel

    tokenizer = read_tokenizer(path)
    return read_weights(path, AutoModel, dtype, "an encoder", of_pooler), tokenizer


def _chunked(path: Path, base: Any, outputs: int) -> Any:
    """New heads that read chunks of the last state of a decoder."""
    import torch
    from transformers import AutoModelForSequenceClassification

    try:
        with torch.device("meta"):
            decoder = AutoModelForSequenceClassification.from_config(base.config)  # type: ignore[no-untyped-call]
        decodes = reads_last(decoder)
    except ValueError:
        decodes = False
    if not decodes:
        raise ModelUnusableError(f"{path}: is no language model that reads from left to right; use pooling 'mean'")
    try:
        return chunked_classifier(base, sizes_for(int(base.config.hidden_size), outputs))
    except ValueError as error:
        raise ModelUnusableError(f"{path}: {error}") from None


def read_tokenizer(path: Path) -> Any:
    from transformers import AutoTokenizer

    with quietly(), errors_named(path, "tokenizer", "put the tokenizer's files of the same model beside the weights"):
        return AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)


def read_weights(
    path: Path, kind: Any, dtype: str, description: str, may_lack: MayLack = nothing, **changes: Any
) -> Any:
    """The model of a class of transformers.

    Args:
        path: Its directory.
        kind: The class.
        dtype: Name of a floating-point type of torch.
        description: What the directory should hold, for messages.
        may_lack: Of the model and the name of a weight: whether it may begin random where the files have none.
        changes: Of the configuration.

    Raises:
        ModelUnusableError: The files cannot be used, or lack other weights.
    """
    import torch

    _check_weights(path)
    options = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True, **changes}
    with quietly(), errors_named(path, "model", f"download the model again; it must be {description}"):
        model, info = kind.from_pretrained(
            path, output_loading_info=True, **options, **dtype_option(getattr(torch, dtype))
        )
    if mismatched := sorted(str(key[0]) for key in info.get("mismatched_keys", ())):
        outputs = changes.get("num_labels", "another number of")
        raise ModelUnusableError(
            f"{path}: {mismatched[0]} has another shape than a head of {outputs} outputs; "
            "begin with the model below the head, which has none"
        )
    refuse_missing(path, model, info, description, may_lack)
    return model


def refuse_missing(path: Path, model: Any, info: dict[str, Any], description: str, may_lack: MayLack = nothing) -> None:
    """Refuse a model with weights that are missing in its files and would be random.

    Raises:
        ModelUnusableError: There are such weights.
    """
    missing = sorted(name for name in info["missing_keys"] if not may_lack(model, name))
    if not missing:
        return
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    remedy = "give a model that was trained as that, or download all of its files again"
    if may_lack is _last_part and all(_above_base(model, name) for name in missing):
        remedy = "they would stay random on a frozen backbone: use pooling 'mean', or train without freeze"
    raise ModelUnusableError(
        f"{path} is not {description}: it has no weights for {', '.join(missing[:_SHOWN])}{more}; {remedy}"
    )


def dtype_option(dtype: Any) -> dict[str, Any]:
    import transformers

    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    return {"dtype" if version >= (4, 56) else "torch_dtype": dtype}


def check_device(torch: Any, device: str) -> None:
    try:
        torch.empty(0, device=device)
    except Exception as error:  # noqa: BLE001 - every backend of torch raises its own
        reason = str(error).splitlines()[0]
        raise ModelUnusableError(
            f"device {device!r} cannot be used: {reason}; use 'cpu' or a device of this host"
        ) from None


@contextmanager
def errors_named(path: Path, part_name: str, remedy: str) -> Iterator[None]:
    """Turn any error of the libraries' readers, which raise nearly everything, into one that names file and remedy."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # noqa: BLE001 - as the docstring says
        # The list of some hundred classes that transformers gives says nothing about this model.
        text = " ".join(str(error).split()).partition(" Model type should be one of ")[0]
        reason = text[:300] or type(error).__name__
        raise ModelUnusableError(f"{path}: the {part_name} cannot be loaded: {reason}; {remedy}") from None


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers quiet while it loads or writes.

    Progress bars clutter logs, and their lock between processes outlives a worker. What its reports of missing weights
    say is said by our errors.
    """
    import transformers

    hf_logging: Any = transformers.utils.logging
    bars_shown, level = hf_logging.is_progress_bar_enabled(), hf_logging.get_verbosity()
    hf_logging.disable_progress_bar()
    hf_logging.set_verbosity_error()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars_shown:
            hf_logging.enable_progress_bar()


def _check_weights(path: Path) -> None:
    """Read the head of each file of weights, so that a broken one is named."""
    from safetensors import safe_open

    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise ModelUnusableError(f"{path} has no *.safetensors file; convert the weights to safetensors")
    for file in files:
        try:
            with safe_open(file, framework="np"):
                pass
        except Exception as error:  # noqa: BLE001 - the reader's own error type derives from Exception alone
            raise ModelUnusableError(
                f"{file} is truncated or no safetensors file ({error}); download it again"
            ) from None


def _check_finite(torch: Any, path: Path, model: Any) -> None:
    head = head_of(model)
    for name, parameter in head.named_parameters() if head is not None else ():
        if not bool(torch.isfinite(parameter).all()):
            raise ModelUnusableError(
                f"{path}: the head's {name} holds values that are not finite; download the model again"
            )


def positions_of(model: Any, tokenizer: Any) -> int | None:
    """Tokens of the longest sequence.

    Models of the RoBERTa family count positions from one behind the padding's id, so that a table of n positions serves
    fewer than n tokens.
    """
    config = model.config
    longest = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    for name, module in model.named_modules():
        first = getattr(module, "padding_idx", None)
        if (
            name.endswith("position_embeddings")
            and first is not None
            and getattr(module, "num_embeddings", 0) == longest
        ):
            longest -= first + 1
    bounds = [bound for bound in (longest, tokenizer.model_max_length) if bound and bound < 1 << 40]
    return int(min(bounds)) if bounds else None


def fingerprint_of(path: Path, dtype: str, device: str) -> str:
    import torch
    import transformers

    kind = device.split(":")[0]
    versions = f"{dtype} {kind} torch {torch.__version__} transformers {transformers.__version__}"
    state = sha256(versions.encode())
    files = [path] if path.is_file() else sorted({file for pattern in _DIGESTED for file in path.glob(pattern)})
    for file in files:
        state.update(f"\0{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as data:
            while piece := data.read(_PIECE):
                state.update(piece)
    return "sha256:" + state.hexdigest()[:32]
