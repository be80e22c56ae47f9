"""Packs through a decoder: many sequences in one pass."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from reward_servers.engines.models._attention import NAME, Plan, register, use
from reward_servers.engines.models._encoding import Encoded
from reward_servers.engines.models._loading import Loaded
from reward_servers.engines.models._packing import BLOCK, Pack, packed

logger = logging.getLogger(__name__)

# How far two ways of adding up may lie apart, by the floating-point type.
_SLACK = {"torch.float32": 1e-4, "torch.float16": 0.01, "torch.bfloat16": 0.05}

Kernel = Literal["auto", "alone", "packed", "invariant"]


class PackedKernel:
    """Computes packs.

    With ``invariant`` every pack has the same length and every segment begins at a block. The matrices then have one
    shape, and the sums of a token are taken in one order, independent of other sequences.

    Attributes:
        budget: Tokens of a pack.
        invariant: Whether all packs have the same shape.
        executed: Tokens that were computed so far.
        real: Those of the computed tokens that are no padding.
    """

    def __init__(
        self,
        loaded: Loaded,
        prefix_of: Callable[[Encoded], tuple[int, ...]],
        budget: int,
        *,
        invariant: bool,
        flex: bool | None = None,
    ) -> None:
        """Take a model.

        Args:
            loaded: A decoder with a head.
            prefix_of: The beginning of a sequence that its siblings share; empty for none.
            budget: Tokens of a pack; rounded up to a block.
            invariant: Whether all packs have the same shape.
            flex: Whether flex attention is used; None where there is a GPU.
        """
        import torch

        register()
        self._torch = torch
        self._loaded = loaded
        self._prefix_of = prefix_of
        self.invariant = invariant
        self._flex = loaded.device.startswith("cuda") if flex is None else flex
        self.budget = -(-budget // BLOCK) * BLOCK
        self.executed = self.real = 0

    def run(self, sequences: Sequence[Encoded]) -> Iterator[tuple[int, tuple[float, ...], int]]:
        """Compute a batch.

        Yields:
            The place of each sequence, its outputs, and the tokens of its beginning that came with a sibling.

        Raises:
            torch.OutOfMemoryError: A pack does not fit.
        """
        align = BLOCK if self.invariant else 1
        for pack in packed(sequences, self._prefix_of, self.budget, align):
            longest = len(pack.ids)
            if self.invariant:
                pack.fill(self.budget if longest <= self.budget else -(-longest // BLOCK) * BLOCK)
            elif self._flex:
                pack.fill(-(-longest // BLOCK) * BLOCK)
            self.executed += len(pack.ids)
            self.real += pack.real
            for (place, _), values, reused in zip(pack.last, self._values(pack), pack.reused, strict=True):
                yield place, values, reused

    def halve(self) -> bool:
        """Make packs smaller after one did not fit; false where their length is part of the result, or the least."""
        if self.invariant or self.budget <= BLOCK:
            return False
        self.budget = max(BLOCK, self.budget // 2 // BLOCK * BLOCK)
        logger.warning("packs have %d tokens from now on", self.budget)
        return True

    def _values(self, pack: Pack) -> list[tuple[float, ...]]:
        torch, device, model = self._torch, self._loaded.device, self._loaded.model
        plan = Plan(pack, device, flex=self._flex)
        ids = torch.tensor([pack.ids], device=device)
        with torch.inference_mode(), self._attention(plan):
            hidden = model.base_model(
                input_ids=ids, position_ids=plan.positions[None], use_cache=False
            ).last_hidden_state[0]
            places = torch.tensor([last for _, last in pack.last], device=device)
            rows = hidden[places]
            # One row at a time: the head's sums then do not depend on how many sequences a pack has.
            parts = rows.split(1) if self.invariant else [rows]
            logits = torch.cat([model.score(part) for part in parts])
            return [tuple(row) for row in logits.double().cpu().tolist()]

    @contextmanager
    def _attention(self, plan: Plan) -> Iterator[None]:
        config: Any = self._loaded.model.config
        own = config._attn_implementation
        config._attn_implementation = NAME
        use(plan)
        try:
            yield
        finally:
            use(None)
            config._attn_implementation = own


class _Outcome(Protocol):
    """Outputs of one sequence."""

    @property
    def values(self) -> tuple[float, ...]:
        """One number per output."""


def kernel_problem(packs: PackedKernel, alone: Callable[[Encoded], _Outcome], loaded: Loaded) -> str:
    """Try a kernel on random sequences.

    Args:
        packs: The kernel.
        alone: Computes one sequence by itself.
        loaded: The model.

    Returns:
        Why it cannot be used; empty when its outputs are those of sequences alone and, where they should be, the same
        to the last bit in any company.
    """
    probes = _probes(loaded)
    expected_values = [alone(probe).values for probe in probes]
    slack = _SLACK.get(str(packs._loaded.model.dtype), 0.05)
    try:
        packed_values = _in_order(packs, probes)
        for values, expected in zip(packed_values, expected_values, strict=True):
            # NaN is close to no value.
            if not all(
                abs(value - right) <= slack * (1 + abs(right)) for value, right in zip(values, expected, strict=True)
            ):
                return f"it gives {values[0]:.6g} where a sequence alone gives {expected[0]:.6g}"
        if packs.invariant:
            turned = _in_order(packs, probes[::-1])[::-1]
            each = [_in_order(packs, [probe])[0] for probe in probes]
            if not packed_values == turned == each:
                return "the last bits of a score depend on what is computed beside it"
    except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    return ""


def _in_order(packs: PackedKernel, sequences: Sequence[Encoded]) -> list[tuple[float, ...]]:
    by_place = {place: values for place, values, _ in packs.run(sequences)}
    return [by_place[place] for place in range(len(sequences))]


def _probes(loaded: Loaded) -> list[Encoded]:
    """Short and long sequences, alone and as a group."""
    draw = random.Random(0)  # noqa: S311 - probes are no secret
    rows, longest = loaded.model.get_input_embeddings().num_embeddings, loaded.max_length or 4 * BLOCK

    def ids(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(rows) for _ in range(length))

    lengths = [length for length in (1, 5, BLOCK - 1, BLOCK + 3, 2 * BLOCK) if length <= longest]
    probes = [Encoded(ids(length)) for length in lengths]
    if longest > BLOCK + 8:
        beginning = ids(BLOCK - 32)
        probes += [Encoded(beginning + ids(length), shared=len(beginning)) for length in (3, 40, 8)]
    return probes
