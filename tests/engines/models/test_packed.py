"""Packs: the outputs of sequences alone, from one pass over many."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from reward_servers.engines.models import Encoded, Forward, ModelUnusableError, load_classifier
from reward_servers.engines.models._attention import NAME
from reward_servers.engines.models._kernel import PackedKernel
from reward_servers.engines.models._packing import packed
from tests.engines.models import architectures, tiny

torch.set_num_threads(1)

PACKED = ["llama", "qwen2", "qwen2-sliding", "qwen3", "mistral-sliding", "gemma3", "phi3"]


def _sequences(seed: int, longest: int = 150) -> list[Encoded]:
    draw = random.Random(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(7, 200) for _ in range(length))

    found = [Encoded(ids(draw.randrange(1, longest))) for _ in range(8)]
    for _ in range(2):
        beginning = ids(draw.randrange(64, 100))
        found += [Encoded(beginning + ids(draw.randrange(1, 50)), shared=len(beginning)) for _ in range(3)]
    draw.shuffle(found)
    return found


def _values(forward: Forward, sequences: list[Encoded]) -> list[tuple[float, ...]]:
    return [one.values for one in forward.run(sequences)]


def _forward(path: Path, kernel: Any, budget: int = 512) -> Forward:
    loaded = load_classifier(path, device="cpu", dtype="float32")
    return Forward(loaded, prefix_bytes=1 << 20, kernel=kernel, batch_tokens=budget)


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("kernel", ["packed", "invariant"])
def test_packs_give_the_outputs_of_sequences_alone(tmp_path: Path, name: str, kernel: str) -> None:
    path = architectures.make(name, tmp_path)
    sequences = _sequences(1)
    alone, forward = _values(_forward(path, "alone"), sequences), _forward(path, kernel)
    assert forward.kernel == kernel
    found = _values(forward, sequences)
    for values, wanted in zip(found, alone, strict=True):
        assert values == pytest.approx(wanted, abs=2e-6, rel=2e-6)
    assert forward._loaded.model.config._attn_implementation != NAME


@pytest.mark.parametrize("flex", [False, True])
@pytest.mark.parametrize("name", ["llama", "qwen2-sliding"])
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_both_kinds_of_attention_agree(tmp_path: Path, name: str, flex: bool) -> None:
    loaded = load_classifier(architectures.make(name, tmp_path), device="cpu", dtype="float32")
    sequences = _sequences(2)
    kernel = PackedKernel(loaded, Forward._beginning_of, 512, invariant=True, flex=flex)
    found = {place: values for place, values, _ in kernel.run(sequences)}
    wanted = _values(Forward(loaded, prefix_bytes=0), sequences)
    for place, values in enumerate(wanted):
        assert found[place] == pytest.approx(values, abs=2e-6, rel=2e-6)
    assert kernel.executed % 512 == 0


def test_the_bits_of_the_invariant_kernel_depend_on_nothing_else(tmp_path: Path) -> None:
    forward = _forward(tiny.llama(tmp_path), "invariant")
    sequences = _sequences(3)
    alone = [_values(forward, [one])[0] for one in sequences]
    draw = random.Random(4)
    for _ in range(5):
        order = draw.sample(range(len(sequences)), draw.randrange(1, len(sequences) + 1))
        assert _values(forward, [sequences[place] for place in order]) == [alone[place] for place in order]


def test_a_prompt_is_computed_once_within_a_pack() -> None:
    beginning = tuple(range(100))
    group = [Encoded((*beginning, *range(200, 200 + size)), shared=100) for size in (5, 20, 9)]
    other = Encoded(tuple(range(300, 330)))
    (pack,) = packed([group[0], other, *group[1:]], Forward._beginning_of, 1000)
    assert (pack.real, len(pack.ids)) == (100 + 34 + 30, 164)
    assert sorted(place for place, _ in pack.last) == [0, 1, 2, 3]
    assert sorted(pack.reused) == [0, 0, 100, 100]
    assert {pack.segments[one.before].length for one in pack.segments if one.before >= 0} == {100}
    aligned = list(packed(group, Forward._beginning_of, 256, 128))
    assert [len(one.last) for one in aligned] == [1, 1, 1]
    assert all(segment.start % 128 == 0 for one in aligned for segment in one.segments)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_what_is_no_number_is_that_of_its_own_sequence_alone(tmp_path: Path) -> None:
    forward = _forward(tiny.llama(tmp_path), "packed")
    # Flex attention, as on a GPU: weights of 0 for what is no number.
    assert forward._packs is not None
    forward._packs._flex = True
    sequences = [Encoded(tuple(one % 200 + 7 for one in range(start, start + 20))) for start in (0, 30, 60)]
    wanted = _values(forward, sequences)
    with torch.no_grad():
        forward._loaded.model.get_input_embeddings().weight[sequences[1].ids[3]] = float("inf")
    found = _values(forward, sequences)
    assert found[0] == pytest.approx(wanted[0], abs=2e-6)
    assert found[2] == pytest.approx(wanted[2], abs=2e-6)
    assert found[1][0] != found[1][0]


def test_what_is_no_decoder_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="only decoders are packed; set kernel to 'alone'"):
        _forward(tiny.bert(tmp_path), "packed")


@pytest.mark.parametrize("name", ["gemma2"])
def test_a_model_whose_attention_is_of_another_kind_is_found_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelUnusableError, match=r"kernel 'packed': .*; set kernel to 'alone'"):
        _forward(architectures.make(name, tmp_path), "packed")


def test_memory_that_runs_out_halves_the_packs_and_costs_the_item_that_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = _forward(tiny.llama(tmp_path), "packed", 512)
    sequences = [Encoded(one.ids) for one in _sequences(5, 100)] + [Encoded(tuple(range(7, 206)))]
    wanted = _values(forward, sequences)
    base = forward._loaded.model.base_model
    real = base.forward

    def small_device(*args: Any, **options: Any) -> Any:
        if options["input_ids"].shape[1] > 150:
            raise torch.OutOfMemoryError("the device has no memory for this")
        return real(*args, **options)

    monkeypatch.setattr(base, "forward", small_device)
    found = forward.run(sequences)
    assert [one.out_of_memory for one in found] == [len(one.ids) > 150 for one in sequences]
    for one, values in zip(found, wanted, strict=True):
        assert one.out_of_memory or one.values == pytest.approx(values, abs=2e-6)
    assert forward._packs is not None
    assert forward._packs.budget < 512
