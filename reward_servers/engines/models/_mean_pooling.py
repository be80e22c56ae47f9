"""A classifier that transformers has no class for: an encoder whose hidden states are averaged, with a linear head.

On disk it is the encoder as transformers writes it, with ``head.safetensors`` beside it and the key ``pooled_head`` in
its configuration. An encoder of sentences, which is trained to be averaged, keeps what it knows this way; the first
token, which transformers' own classifiers read, says little in such a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_KEY = "pooled_head"
_FILE = "head.safetensors"


def averaged(hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """``[B, H]`` means over the positions of ``[B, L, H]`` hidden states that the ``[B, L]`` mask has 1 for."""
    if mask is None:
        return hidden.mean(1)
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def pooled_kind(path: Path) -> Any:
    """What a directory says of the head of such a classifier; None where it holds none or cannot be read."""
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return config.get(_KEY) if isinstance(config, dict) else None


def pooled_classifier(base: Any, outputs: int, weights: Mapping[str, torch.Tensor] | None = None) -> Any:
    """A module with the attributes of transformers' classifiers that are used here.

    Args:
        base: A model of transformers that gives hidden states.
        outputs: Numbers that the head gives.
        weights: ``weight`` and ``bias`` of the head; random without.

    Returns:
        The module.

    Raises:
        RuntimeError: The weights do not fit.
    """
    import torch

    class PooledClassifier(torch.nn.Module):
        """Averages hidden states and applies a linear head."""

        def __init__(self) -> None:
            super().__init__()
            self.base_model = base
            self.config = base.config
            self.classifier = torch.nn.Linear(base.config.hidden_size, outputs, dtype=base.dtype)

        @property
        def dtype(self) -> torch.dtype:
            """The floating-point type."""
            return self.classifier.weight.dtype

        def get_input_embeddings(self) -> Any:
            """The embedding of token ids."""
            return self.base_model.get_input_embeddings()

        def forward(self, *, attention_mask: torch.Tensor | None = None, **inputs: Any) -> Any:
            """The outputs as ``logits``."""
            hidden = self.base_model(attention_mask=attention_mask, **inputs).last_hidden_state
            return SimpleNamespace(logits=self.classifier(averaged(hidden, attention_mask)))

        def save_pretrained(self, path: Path) -> None:
            """Write it."""
            write_pooled(self.base_model, self.classifier, "mean", path)

    model = PooledClassifier()
    if weights is not None:
        model.classifier.load_state_dict(dict(weights))
    model.config.num_labels = outputs
    return model


def read_head(path: Path) -> dict[str, torch.Tensor]:
    """The weights of the head in a directory.

    Raises:
        OSError: There is no such file.
    """
    from safetensors.torch import load_file

    tensors: dict[str, torch.Tensor] = load_file(path / _FILE)
    return tensors


def outputs_of(weights: Mapping[str, torch.Tensor]) -> int:
    """Numbers that a linear head gives.

    Raises:
        ValueError: The weights are not those of a linear head.
    """
    if set(weights) != {"weight", "bias"} or weights["weight"].dim() != 2:
        names = ", ".join(sorted(weights)[:3]) or "nothing"
        raise ValueError(f"{_FILE} holds {names}, not weight and bias of a linear head")
    return len(weights["bias"])


def write_pooled(base: Any, head: Any, kind: Any, path: Path) -> None:
    """Write an encoder or decoder and the head on it into a directory."""
    from safetensors.torch import save_file

    setattr(base.config, _KEY, kind)
    base.save_pretrained(path)
    save_file({name: value.contiguous() for name, value in head.state_dict().items()}, Path(path) / _FILE)
