"""A classifier that transformers has no class for: small transformers that read the last state of a frozen decoder.

Each output has a head of its own. It cuts the state into chunks, attends over them, averages them by their likeness to
a learned query, and gives one number, which squashed is the probability of its objective.

Source: IntelliReward of IntelliAsk, whose sizes are the bounds here. It gives two numbers for each objective and takes
their softmax, of which one number is the difference; and it has no places, without which a chunk could be any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models._mean_pooling import write_pooled

if TYPE_CHECKING:
    import torch

_CHUNKS = 16
_WIDEST = 512
_ATTENTION_HEADS = 8
_LAYERS = 4
_DROPOUT = 0.15
_EPSILON = 1e-4


def sizes_for(hidden: int, outputs: int) -> dict[str, Any]:
    """The sizes of new heads, as the configuration keeps them.

    Args:
        hidden: Numbers of a state.
        outputs: Numbers that the model gives.

    Raises:
        ValueError: The state cannot be cut into chunks.
    """
    if hidden % _CHUNKS:
        raise ValueError(f"a state of {hidden} numbers cannot be cut into {_CHUNKS} chunks; leave pooling at 'own'")
    width = min(_WIDEST, hidden + -hidden % _ATTENTION_HEADS)
    return {"kind": "chunks", "outputs": outputs, "chunks": _CHUNKS, "width": width, "layers": _LAYERS}


def _heads(hidden: int, sizes: Mapping[str, Any]) -> Any:
    """A module from ``[..., H]`` states to ``[..., outputs]``."""
    import torch
    from torch import nn

    chunks, width = int(sizes["chunks"]), int(sizes["width"])

    class ChunkHead(nn.Module):
        """One output."""

        def __init__(self) -> None:
            super().__init__()
            self.enter = nn.Linear(hidden // chunks, width)
            self.places = nn.Parameter(torch.empty(chunks, width))
            layer = nn.TransformerEncoderLayer(
                width, _ATTENTION_HEADS, 2 * width, _DROPOUT, activation="gelu", batch_first=True
            )
            self.layers = nn.TransformerEncoder(layer, int(sizes["layers"]), enable_nested_tensor=False)
            self.query = nn.Parameter(torch.empty(width))
            self.norm = nn.LayerNorm(width, eps=_EPSILON)
            self.inner = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            self.after = nn.LayerNorm(width, eps=_EPSILON)
            self.leave = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
            self.reset_parameters()

        def reset_parameters(self) -> None:
            """Initialise the parameters outside of layers with that method."""
            nn.init.normal_(self.places, std=0.02)
            nn.init.normal_(self.query, std=width**-0.5)
            for layer in self.layers.layers:
                layer.self_attn._reset_parameters()

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            """``[S, 1]`` of ``[S, H]`` states."""
            pieces = states.view(len(states), chunks, -1)
            mixed = self.layers(self.enter(pieces) + self.places)
            shares = torch.softmax(mixed @ self.query, -1)
            normed = self.norm((shares.unsqueeze(-1) * mixed).sum(-2))
            states_out: torch.Tensor = self.leave(self.after(normed + self.inner(normed)))
            return states_out

    class ChunkHeads(nn.Module):
        """All outputs."""

        def __init__(self) -> None:
            super().__init__()
            self.each = nn.ModuleList([ChunkHead() for _ in range(int(sizes["outputs"]))])

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            """``[..., outputs]`` of ``[..., H]`` states."""
            flat = states.reshape(-1, states.shape[-1])
            return torch.cat([layer(flat) for layer in self.each], -1).view(*states.shape[:-1], -1)

    return ChunkHeads()


def chunked_classifier(base: Any, sizes: Mapping[str, Any], weights: Mapping[str, torch.Tensor] | None = None) -> Any:
    """A module with the attributes of transformers' classifiers that are used here.

    Args:
        base: A decoder of transformers that gives hidden states.
        sizes: Of the heads.
        weights: Of the heads; random without.

    Returns:
        The module.

    Raises:
        RuntimeError: The weights do not fit.
        ValueError: The sizes cannot be used.
        KeyError: A weight is missing.
    """
    import torch

    class ChunkedClassifier(torch.nn.Module):
        """Applies heads to the state of the last token."""

        def __init__(self) -> None:
            super().__init__()
            self.base_model = base
            self.config = base.config
            self.score = _heads(int(base.config.hidden_size), sizes).to(base.dtype)

        @property
        def dtype(self) -> torch.dtype:
            """The floating-point type."""
            kept_dtype: torch.dtype = next(self.score.parameters()).dtype
            return kept_dtype

        def get_input_embeddings(self) -> Any:
            """The embedding of token ids."""
            return self.base_model.get_input_embeddings()

        def forward(self, **inputs: Any) -> Any:
            """The outputs of every position as ``logits``."""
            return SimpleNamespace(logits=self.score(self.base_model(**inputs).last_hidden_state))

        def save_pretrained(self, path: Any) -> None:
            """Write it."""
            write_pooled(self.base_model, self.score, dict(sizes), path)

    model = ChunkedClassifier()
    if weights is not None:
        model.score.load_state_dict(dict(weights))
    model.config.num_labels = int(sizes["outputs"])
    return model
