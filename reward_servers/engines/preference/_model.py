"""The model: logits that do not depend on what is scored beside them.

Padding and the shape of a batch change the last bits of a score. So every forward pass has one of a few fixed shapes: a
sequence's length decides the padded length, and batches are always full, with copies where there is nothing to score. A
model that still gives another score in another place of the batch is refused at the start. With batches of one there is
no padding at all: on a CPU that is also the fastest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.engines.preference._encode import Encoded

if TYPE_CHECKING:
    import torch

__all__ = ["ModelUnusable", "PreferenceModel"]

_SHORTEST = 64
_SAMPLE = 1 << 20


class ModelUnusable(RuntimeError):
    """The files are not a preference model that can be used here."""


def _load(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    import transformers
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    version = tuple(int(part) for part in transformers.__version__.split(".")[:2])
    name = "dtype" if version >= (4, 56) else "torch_dtype"
    try:
        with _quietly():
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
            model, info = AutoModelForSequenceClassification.from_pretrained(
                path,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **{name: dtype},
            )
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnusable(f"{path}: {error}") from None
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelUnusable(f"{path} is not a trained sequence classifier: it has no weights for {missing}")
    return model, tokenizer


@contextmanager
def _quietly() -> Iterator[None]:
    """Loads without a progress bar: it clutters logs, and its lock between processes outlives a worker."""
    import transformers

    bars: Any = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _fingerprint(path: Path) -> str:
    """A digest of the configuration, and of the size, the beginning and the end of every file of weights."""
    state = sha256((path / "config.json").read_bytes())
    for file in sorted(path.glob("*.safetensors")):
        size = file.stat().st_size
        with file.open("rb") as weights:
            state.update(f"{file.name} {size}".encode() + weights.read(_SAMPLE))
            weights.seek(max(0, size - _SAMPLE))
            state.update(weights.read(_SAMPLE))
    return "sha256:" + state.hexdigest()[:32]


def _plain(ids: Sequence[int]) -> Encoded:
    return Encoded(tuple(ids), (), len(ids), 0, 0)


class PreferenceModel:
    """A sequence classifier on one device.

    Attributes:
        tokenizer: Its tokenizer.
        max_length: Tokens of the longest sequence that it takes.
        batch_size: Sequences of one forward pass.
        fingerprint: Digest of the configuration and of samples of the weights.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str,
        dtype: str,
        batch_size: int,
        max_length: int,
        label: int | None = None,
        threads: int = 0,
    ) -> None:
        """Loads the model, and tries every shape that it will be used in.

        Args:
            path: A directory with configuration, tokenizer and safetensors weights.
            device: Such as ``"cpu"`` or ``"cuda:0"``.
            dtype: Name of a floating-point type of torch.
            batch_size: Sequences of one forward pass.
            max_length: Tokens of a sequence at most; less when the model takes fewer.
            label: Which output to read, for a model with several.
            threads: Threads of this process for computing on the CPU; 0 leaves the choice to torch.

        Raises:
            ModelUnusable: The files cannot be used; the message says why.
            ImportError: torch or transformers is missing.
        """
        if not (path / "config.json").is_file():
            raise ModelUnusable(f"{path} is not a directory with a config.json; give the path of a downloaded model")
        import torch

        if threads:
            torch.set_num_threads(threads)
        self._torch = torch
        model, self.tokenizer = _load(path, getattr(torch, dtype))
        outputs = int(model.config.num_labels)
        if label is None and outputs != 1:
            raise ModelUnusable(f"{path} has {outputs} outputs {model.config.id2label}; say which one with `label`")
        if label is not None and label >= outputs:
            raise ModelUnusable(f"{path} has {outputs} outputs; `label` {label} is none of them")
        self._label = label or 0
        self._model = model.eval().requires_grad_(False).to(device)
        self._device = device
        longest = getattr(model.config, "max_position_embeddings", None) or max_length
        self.max_length = int(min(max_length, longest, self.tokenizer.model_max_length))
        self.fingerprint = _fingerprint(path)
        self.batch_size = batch_size
        self._pad = next(
            (one for one in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id) if one is not None), 0
        )
        # Decoders read the last token. Which one that is follows from the length; a comparison with the padding token
        # would take a final end-of-sequence for padding where the two are the same.
        self._reads_last = hasattr(model, "score") and hasattr(model, "base_model")
        self._has_types = int(getattr(model.config, "type_vocab_size", None) or 0) > 1
        if batch_size > 1:
            self._check_shapes()

    def logits(self, sequences: Sequence[Encoded]) -> list[float]:
        """The logit of each sequence.

        Args:
            sequences: Encoded conversations; each of 1 to ``max_length`` tokens.

        Returns:
            Their logits, in order; each is the same alone and beside any others.
        """
        found = [0.0] * len(sequences)
        by_width: dict[int, list[int]] = {}
        for place, one in enumerate(sequences):
            by_width.setdefault(self._width(len(one.ids)), []).append(place)
        for width, places in by_width.items():
            for start in range(0, len(places), self.batch_size):
                batch = places[start : start + self.batch_size]
                rows = [sequences[place] for place in batch]
                rows += [rows[0]] * (self.batch_size - len(rows))
                for place, logit in zip(batch, self._forward(rows, width), strict=False):
                    found[place] = logit
        return found

    def _width(self, length: int) -> int:
        if self.batch_size == 1:
            return length
        width = _SHORTEST
        while width < length:
            width *= 2
        return width if width < self.max_length else self.max_length

    def _filled(self, rows: Sequence[Sequence[int]], width: int, rest: int) -> torch.Tensor:
        filled = self._torch.full((len(rows), width), rest, dtype=self._torch.long)
        for place, row in enumerate(rows):
            filled[place, : len(row)] = self._torch.tensor(row, dtype=self._torch.long)
        return filled.to(self._device)

    def _forward(self, rows: Sequence[Encoded], width: int) -> list[float]:
        torch = self._torch
        lengths = [len(row.ids) for row in rows]
        inputs: dict[str, Any] = {"input_ids": self._filled([row.ids for row in rows], width, self._pad)}
        if self.batch_size > 1:
            inputs["attention_mask"] = self._filled([[1] * length for length in lengths], width, 0)
        if self._has_types:
            inputs["token_type_ids"] = self._filled([row.types for row in rows], width, 0)
        with torch.inference_mode():
            if self._reads_last:
                hidden = self._model.base_model(**inputs, use_cache=False).last_hidden_state
                last = torch.tensor(lengths, device=self._device) - 1
                logits = self._model.score(hidden[torch.arange(len(rows), device=self._device), last])
            else:
                logits = self._model(**inputs).logits
        values: list[float] = logits[:, self._label].double().cpu().tolist()
        return values

    def _check_shapes(self) -> None:
        """Scores a probe in the first, a middle and the last place, beside different neighbours, in every shape."""
        draw = self._torch.Generator().manual_seed(0)
        width = _SHORTEST
        while True:
            width = min(width, self.max_length)
            pool = self._torch.randint(0, self._model.config.vocab_size, (2 * self.batch_size, width), generator=draw)
            probe, *others = (_plain(row[: max(1, width - place % 7)].tolist()) for place, row in enumerate(pool, 3))
            scores = set()
            for place in {0, self.batch_size // 2, self.batch_size - 1}:
                beside = others[place : place + self.batch_size - 1]
                scores.add(self._forward([*beside[:place], probe, *beside[place:]], width)[place])
            if len(scores) > 1:
                raise ModelUnusable(
                    f"scores depend on the place in the batch at {width} tokens on {self._device}; use batch_size = 1"
                )
            if width == self.max_length:
                return
            width *= 2
