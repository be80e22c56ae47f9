"""The forward pass. The outputs of a sequence do not depend on the other sequences of a batch.

The bits of a score depend on the shapes of the matrices that it is computed with. So on a CPU nothing is padded and
nothing is batched: every sequence is computed in shapes that follow from itself, as fast as the best packing. On a GPU,
which one sequence does not fill, many are packed into passes of one shape. The
beginning that the rollouts of a group share, their prompt, is computed once and kept as keys and values. A sequence is
split there whether or not a sibling comes with it, so its bits are the same alone.
"""

from __future__ import annotations

import copy
import inspect
import logging
import math
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reward_servers.engines.models._adapters import Adapters
from reward_servers.engines.models._encoding import Encoded
from reward_servers.engines.models._kernel import Kernel, PackedKernel, kernel_problem
from reward_servers.engines.models._loading import Loaded, ModelUnusableError, reads_last, takes_segments
from reward_servers.engines.models._memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

# A prefix has at least so many tokens, and at least this share of what follows it. With fewer, a second pass over the
# weights costs more than a group of eight saves.
_SHORTEST_PREFIX = 64
_PREFIX_SHARE = 4


@dataclass(frozen=True, slots=True)
class Outputs:
    """The model's outputs of one sequence.

    Attributes:
        values: One number per output of the model; empty when the device had no memory for the sequence.
        reused: Tokens whose keys and values another sequence had already computed.
    """

    values: tuple[float, ...]
    reused: int = 0

    @property
    def out_of_memory(self) -> bool:
        """Whether the device had no memory for the sequence alone, with all caches dropped."""
        return not self.values


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and how a model runs.

    Attributes:
        device: Such as ``"cpu"`` or ``"cuda:0"``.
        dtype: Name of a floating-point type of torch.
        threads: Threads of this process for computing on the CPU; 0 leaves the choice to torch.
        prefix_bytes: Memory for prompts that are kept between batches.
        kernel: How sequences are computed; ``"auto"``: one at a time on a CPU, in passes of one shape on a GPU.
        batch_tokens: Tokens of a pass.
    """

    device: str = "cpu"
    dtype: str = "float32"
    threads: int = 0
    prefix_bytes: int = 1 << 29
    kernel: Kernel = "auto"
    batch_tokens: int = 16384


class Forward:
    """Runs sequences through a model, one at a time.

    Attributes:
        outputs: Numbers that the model gives a sequence.
        splits: Whether shared beginnings are computed once.
        kernel: How sequences are computed: ``"alone"``, ``"packed"`` or ``"invariant"``.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        prefix_bytes: int,
        kernel: Kernel = "auto",
        batch_tokens: int = 16384,
        adapters: Adapters | None = None,
    ) -> None:
        """Take a model.

        Args:
            loaded: The model.
            prefix_bytes: Memory that kept beginnings may take; 0 keeps none between batches.
            kernel: ``"alone"`` computes one sequence at a time; ``"packed"`` many in one pass, whose last bits depend
                on which; ``"invariant"`` many in passes of one shape, whose bits do not. ``"auto"`` takes the last of
                these on a GPU where it is proved, and else the first.
            batch_tokens: Tokens of a pass.
            adapters: The adapters that sequences name.

        Raises:
            ModelUnusableError: The kernel does not suit the model; the message says which does.
        """
        import torch

        self._torch = torch
        self._loaded = loaded
        self._adapters = adapters or Adapters(loaded, {})
        model = loaded.model
        # Decoders read the last token. Which one that is follows from the length; a comparison with the padding token
        # would take a final end-of-sequence for padding where the two are the same.
        self._reads_last = reads_last(model)
        self._has_types = takes_segments(model)
        self._cache_argument = cache_argument(model.base_model)
        self._kept = _Prefixes(prefix_bytes)
        self.outputs = int(model.config.num_labels)
        self.splits = self._reads_last and self._can_split()
        self._packs = self._prove(kernel, batch_tokens)
        self.kernel: Kernel = "alone" if self._packs is None else "invariant" if self._packs.invariant else "packed"

    def run(self, sequences: Sequence[Encoded]) -> list[Outputs]:
        """Compute the outputs of each sequence.

        Args:
            sequences: Encoded conversations; each of 1 to the model's longest sequence of tokens.

        Returns:
            Their outputs, in order; but for the kernel ``"packed"`` each to the last bit the same alone and beside any
            others.
        """
        outputs = [Outputs(())] * len(sequences)
        order = range(len(sequences))
        for adapter in dict.fromkeys(sequence.adapter for sequence in sequences):
            places = [place for place in order if sequences[place].adapter == adapter]
            with self._adapters.using(adapter):
                if self._packs is not None:
                    results = self._run_packed(self._packs, [sequences[place] for place in places])
                else:
                    places.sort(key=lambda place: self._prefix_of(sequences[place]))
                    results = [self._run_alone(sequences[place]) for place in places]
            for place, result in zip(places, results, strict=True):
                outputs[place] = result
        return outputs

    def _run_packed(self, packs: PackedKernel, sequences: Sequence[Encoded]) -> list[Outputs]:
        """Compute packs. Where memory runs out, the batch is tried once more, and then each sequence by itself."""
        outputs = [Outputs(())] * len(sequences)
        open_places = list(range(len(sequences)))
        for attempt in ("together", "again", "apart"):
            rounds = [open_places] if attempt != "apart" else [[place] for place in open_places]
            for places in rounds:
                try:
                    for rank, values, reused in packs.run([sequences[place] for place in places]):
                        outputs[places[rank]] = Outputs(values, reused)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    logger.warning("a pack of %d sequences: %s", len(places), str(error).splitlines()[0])
                    self._make_room()
            open_places = [place for place in open_places if outputs[place].out_of_memory]
            if not open_places:
                break
            packs.halve()
        return self._cleared(packs, sequences, outputs)

    def _cleared(self, packs: PackedKernel, sequences: Sequence[Encoded], outputs: list[Outputs]) -> list[Outputs]:
        """The outputs. Sequences whose output is not finite are computed again alone.

        Within a block of the attention, what one sequence says that is no number is multiplied by 0 for the others of
        the pack, and becomes theirs.
        """
        if len(sequences) > 1:
            for place, output in enumerate(outputs):
                if not all(map(math.isfinite, output.values)):
                    outputs[place] = self._run_packed(packs, [sequences[place]])[0]
        return outputs

    def _make_room(self) -> None:
        self._kept.clear()
        if self._loaded.device.startswith("cuda"):
            self._torch.cuda.empty_cache()

    def _prove(self, kernel: Kernel, batch_tokens: int) -> PackedKernel | None:
        """The kernel of packs, if it is wanted and does what it should; None to compute sequences alone."""
        if kernel == "alone" or (kernel == "auto" and not self._loaded.device.startswith("cuda")):
            return None
        invariant, problem = kernel != "packed", "only decoders are packed"
        if self._reads_last:
            packs = PackedKernel(self._loaded, self._beginning_of, batch_tokens, invariant=invariant)
            problem = kernel_problem(packs, self._run_alone, self._loaded)
            if not problem:
                return packs
        if kernel != "auto":
            raise ModelUnusableError(f"{self._loaded.path}: kernel {kernel!r}: {problem}; set kernel to 'alone'")
        logger.info("sequences are computed one at a time: %s", problem)
        return None

    @staticmethod
    def _beginning_of(sequence: Encoded) -> tuple[int, ...]:
        """The beginning that becomes a separate segment. It costs no second pass, so every shared beginning is used."""
        length = min(sequence.shared, len(sequence.ids) - 1)
        return sequence.ids[:length] if length >= _SHORTEST_PREFIX else ()

    def forget(self) -> None:
        """Free the beginnings that are kept between batches."""
        self._kept.clear()

    def _prefix_of(self, sequence: Encoded) -> tuple[int, ...]:
        """The beginning that is computed separately. It depends on the sequence alone, not on the rest of the batch."""
        length = min(sequence.shared, len(sequence.ids) - 1)
        if not self.splits or length < max(_SHORTEST_PREFIX, (len(sequence.ids) - length) // _PREFIX_SHARE):
            return ()
        return sequence.ids[:length]

    def _run_alone(self, sequence: Encoded) -> Outputs:
        for first_try in (True, False):
            try:
                with self._torch.inference_mode():
                    return self._outputs(sequence)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                logger.warning("%d tokens: %s", len(sequence.ids), str(error).splitlines()[0])
            if first_try:
                self._make_room()
        return Outputs(())

    def _outputs(self, sequence: Encoded) -> Outputs:
        if not self._reads_last:
            inputs = {"input_ids": self._tensor(sequence.ids)}
            if self._has_types:
                inputs["token_type_ids"] = self._tensor(sequence.types or (0,) * len(sequence.ids))
            return Outputs(self._values(self._loaded.model(**inputs).logits[0]))
        base = self._loaded.model.base_model
        prefix = self._prefix_of(sequence)
        if not prefix:
            hidden = base(input_ids=self._tensor(sequence.ids), use_cache=False).last_hidden_state
            return Outputs(self._values(self._loaded.model.score(hidden[0, -1:])[0]))
        cached = self._kept.get(prefix, sequence.adapter)
        cache = cached or self._prefill(prefix, sequence.adapter)
        tail = self._tensor(sequence.ids[len(prefix) :])
        cache_argument = {self._cache_argument: branch(cache)}
        hidden = base(input_ids=tail, use_cache=True, **cache_argument).last_hidden_state
        values = self._values(self._loaded.model.score(hidden[0, -1:])[0])
        return Outputs(values, len(prefix) if cached is not None else 0)

    def _prefill(self, prefix: tuple[int, ...], adapter: str) -> Any:
        from transformers import DynamicCache

        cache = DynamicCache(config=self._loaded.model.config)
        self._loaded.model.base_model(input_ids=self._tensor(prefix), use_cache=True, **{self._cache_argument: cache})
        self._kept.put(prefix, adapter, cache)
        return cache

    def _tensor(self, ids: Sequence[int]) -> torch.Tensor:
        return self._torch.tensor([ids], dtype=self._torch.long, device=self._loaded.device)

    @staticmethod
    def _values(logits: torch.Tensor) -> tuple[float, ...]:
        return tuple(logits.double().cpu().tolist())

    def _can_split(self) -> bool:
        """Whether a sequence in two parts gives what it gives whole, and the first part can be used twice."""
        torch, rows = self._torch, self._loaded.model.get_input_embeddings().num_embeddings
        length = min(self._loaded.max_length or 2 * _SHORTEST_PREFIX, 2 * _SHORTEST_PREFIX)
        ids = tuple(torch.randint(0, rows, (length,), generator=torch.Generator().manual_seed(0)).tolist())
        if length <= _SHORTEST_PREFIX + 1:
            return False
        self.splits = False
        together = self._run_alone(Encoded(ids)).values
        self.splits = True
        try:
            probe = Encoded(ids, shared=_SHORTEST_PREFIX)
            first, again = self._run_alone(probe).values, self._run_alone(probe).values
        except (RuntimeError, ValueError, TypeError, AttributeError, IndexError) as error:
            logger.info("prompts are not shared between the rollouts of a group: %s", error)
            return False
        finally:
            self._kept.clear()
        slack = 0.02 if self._loaded.model.dtype != torch.float32 else 1e-4
        close = all(
            abs(split_value - value) <= slack * (1 + abs(value))
            for split_value, value in zip(first, together, strict=True)
        )
        if not (close and first == again):
            logger.info(
                "prompts are not shared between the rollouts of a group: the model keeps more than keys and values"
            )
        return close and first == again


def cache_argument(model: Any) -> str:
    """What a model of transformers calls keys and values of earlier tokens; newer versions call them `cache`."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def branch(cache: Any) -> Any:
    """A cache that starts from another and does not change it: layers replace tensors and never write into them."""
    branch = copy.copy(cache)
    branch.layers = [copy.copy(layer) for layer in cache.layers]
    return branch


class _Prefixes:
    """Keys and values of beginnings that were used last, within a bound of memory."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._caches: OrderedDict[tuple[bytes, str], tuple[Any, int]] = OrderedDict()

    def get(self, prefix: tuple[int, ...], adapter: str) -> Any | None:
        key = (array("q", prefix).tobytes(), adapter)
        if (entry := self._caches.get(key)) is None:
            return None
        self._caches.move_to_end(key)
        return entry[0]

    def put(self, prefix: tuple[int, ...], adapter: str, cache: Any) -> None:
        tensors = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values) if tensor is not None]
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self._caches[array("q", prefix).tobytes(), adapter] = (cache, size)
        self._bytes += size
        # The newest entry stays, even if it is large: the rollouts of its group come next.
        while self._bytes > self._limit and len(self._caches) > 1:
            _, (_, freed) = self._caches.popitem(last=False)
            self._bytes -= freed

    def clear(self) -> None:
        self._caches.clear()
        self._bytes = 0
