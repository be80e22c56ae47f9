"""Attention within the segments of a pack, as a function that the models of transformers call.

On a GPU it is flex attention with a block mask: blocks in which no token sees another are never computed. Elsewhere
each segment is computed by itself. Which pack is meant is set before a model runs: a process runs one model at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reward_servers.engines.models._packing import BLOCK, Pack

if TYPE_CHECKING:
    import torch

NAME = "assay_packed"


class Plan:
    """How the tokens of a pack see each other.

    Attributes:
        positions: ``[L]`` position of each token in its own sequence.
    """

    def __init__(self, pack: Pack, device: str, *, flex: bool) -> None:
        """Take a pack.

        Args:
            pack: The pack; for flex attention a multiple of the block long.
            device: Where the model is.
            flex: Whether flex attention computes it.
        """
        import torch

        self._torch = torch
        self.segments = pack.segments
        self._flex = flex
        length = len(pack.ids)
        positions, number, before = [0] * length, [-1] * length, [-2] * length
        for place, segment in enumerate(pack.segments):
            span = slice(segment.start, segment.start + segment.length)
            positions[span] = range(segment.position, segment.position + segment.length)
            number[span] = [place] * segment.length
            before[span] = [segment.before if segment.before >= 0 else -2] * segment.length
        self.positions = torch.tensor(positions, device=device)
        self._number = torch.tensor(number, device=device)
        self._before = torch.tensor(before, device=device)
        self._length = length
        self._device = device
        self._masks: dict[int, Any] = {}

    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int
    ) -> torch.Tensor:
        """``[1, H, L, D]`` attention.

        Args:
            query: ``[1, H, L, D]``.
            key: ``[1, K, L, D]``; K divides H.
            value: ``[1, K, L, D]``.
            scale: Factor of the products.
            window: Tokens that a token sees, itself included; 0 for all before it.
        """
        if self._flex:
            return self._flexible(query, key, value, scale, window)
        attended = self._torch.zeros_like(query)
        for segment in self.segments:
            span = slice(segment.start, segment.start + segment.length)
            keys, values = key[:, :, span], value[:, :, span]
            if segment.before >= 0:
                prefix = self.segments[segment.before]
                shared = slice(prefix.start, prefix.start + prefix.length)
                keys = self._torch.cat([key[:, :, shared], keys], 2)
                values = self._torch.cat([value[:, :, shared], values], 2)
            mask = None
            if segment.before >= 0 or window:
                positions = self._torch.arange(keys.shape[2], device=query.device)
                own = self._torch.arange(segment.length, device=query.device)[:, None] + segment.position
                mask = (positions <= own) & (own - positions < window if window else True)
            attended[:, :, span] = self._torch.nn.functional.scaled_dot_product_attention(
                query[:, :, span], keys, values, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
            )
        return attended

    def _flexible(self, query: Any, key: Any, value: Any, scale: float | None, window: int) -> torch.Tensor:
        mask = self._masks.get(window)
        if mask is None:
            mask = self._masks[window] = self._block_mask(window)
        attended: torch.Tensor = _flex(self._device)(
            query, key, value, block_mask=mask, scale=scale, enable_gqa=query.shape[1] != key.shape[1]
        )
        return attended

    def _block_mask(self, window: int) -> Any:
        from torch.nn.attention.flex_attention import create_block_mask

        number, before, positions = self._number, self._before, self.positions

        def sees(batch: Any, head: Any, query: Any, key: Any) -> Any:
            own = (number[query] == number[key]) & (query >= key)
            # Padding attends to itself: a row that attends to nothing would be NaN.
            real = (number[query] >= 0) | (query == key)
            visible = (own & real) | (before[query] == number[key])
            return visible & (positions[query] - positions[key] < window) if window else visible

        return create_block_mask(sees, None, None, self._length, self._length, device=self._device, BLOCK_SIZE=BLOCK)


_compiled: dict[str, Any] = {}


def _flex(device: str) -> Any:
    """Flex attention; compiled where it is fused."""
    import torch
    from torch.nn.attention.flex_attention import flex_attention

    kind = device.split(":")[0]
    if kind not in _compiled:
        _compiled[kind] = torch.compile(flex_attention, dynamic=False) if kind == "cuda" else flex_attention
    return _compiled[kind]


_current: list[Plan] = []


def use(plan: Plan | None) -> None:
    """Set the plan of the pack that is computed next."""
    _current[:] = [plan] if plan is not None else []


def register() -> None:
    """Make the function known to transformers, under ``NAME``."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, _attention)


def _attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    if softcap is not None or attention_mask is not None:
        raise ValueError("a model whose attention caps its scores or brings its own mask is not packed")
    attended = _current[0].attend(query, key, value, scaling, sliding_window or 0)
    return attended.transpose(1, 2).contiguous(), None
