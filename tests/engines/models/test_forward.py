"""Outputs of models: equal to transformers' own, and the same alone and beside any others."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_servers.engines.models import Conversation, Encoded, Encoder, Forward, ModelUnusableError, load_classifier
from tests.engines.models import architectures, tiny

torch.set_num_threads(1)

LENGTHS = [1, 2, 5, 63, 64, 65, 100, 128, 129, 200, 255, 256]


def _forward(path: Path, dtype: str = "float32", prefix_bytes: int = 1 << 20) -> Forward:
    return Forward(load_classifier(path, device="cpu", dtype=dtype), prefix_bytes=prefix_bytes)


def _encoded(lengths: list[int]) -> list[Encoded]:
    draw = random.Random(7)
    rows = [tuple(draw.randrange(7, 200) for _ in range(length)) for length in lengths]
    return [Encoded(row) for row in rows]


def _group(prompt: int, responses: list[int], seed: int) -> list[Encoded]:
    draw = random.Random(seed)
    beginning = tuple(draw.randrange(7, 200) for _ in range(prompt))
    rows = [beginning + tuple(draw.randrange(7, 200) for _ in range(length)) for length in responses]
    return [Encoded(row, shared=prompt) for row in rows]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("prefix_bytes", [0, 1 << 16, 1 << 24])
def test_outputs_are_the_same_to_the_last_bit_alone_and_beside_any_others(
    tmp_path: Path, dtype: str, prefix_bytes: int
) -> None:
    forward = _forward(tiny.llama(tmp_path), dtype, prefix_bytes)
    items = [*_encoded(LENGTHS), *_group(96, [1, 5, 40, 5], 1), *_group(160, [20, 30], 2), *_group(64, [190], 3)]
    alone = [_forward(tmp_path, dtype).run([one])[0].values for one in items]
    assert len(set(alone)) == len(alone)
    draw = random.Random(3)
    for _ in range(8):
        order = list(range(len(items)))
        draw.shuffle(order)
        order = order[: draw.randrange(1, len(order) + 1)]
        found = [one.values for one in forward.run([items[place] for place in order])]
        assert found == [alone[place] for place in order]


@pytest.mark.parametrize("pad", ["<pad>", "<eos>"])
def test_outputs_are_those_of_transformers(tmp_path: Path, pad: str) -> None:
    path = tiny.llama(tmp_path, pad=pad)
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    # One sequence without padding, and no padding token to confuse with its end, is beyond doubt.
    theirs.config.pad_token_id = None
    items = [*_encoded(LENGTHS), *_group(128, [4, 100], 5)]
    items[3] = Encoded((*items[3].ids[:-1], 2))
    with torch.inference_mode():
        wanted = [float(theirs(torch.tensor([one.ids])).logits[0, 0]) for one in items]
    assert [one.values[0] for one in _forward(path).run(items)] == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", architectures.CONFIGURATIONS)
def test_every_kind_of_model_gives_transformers_own_output_up_to_its_longest_sequence(
    tmp_path: Path, name: str
) -> None:
    path = architectures.make(name, tmp_path)
    loaded = load_classifier(path, device="cpu", dtype="float32")
    assert loaded.max_length is not None
    longest = loaded.max_length
    assert longest >= architectures.LENGTH - 3
    items = [*_encoded([1, 40, longest]), *_group(80, [1, longest - 80], 1)]
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    theirs.config.pad_token_id = None
    with torch.inference_mode():
        wanted = [float(theirs(torch.tensor([one.ids])).logits[0, 0]) for one in items]
    forward = Forward(loaded, prefix_bytes=1 << 20)
    assert [one.values[0] for one in forward.run(items)] == pytest.approx(wanted, abs=1e-6, rel=1e-6)
    is_decoder = hasattr(loaded.model, "score")
    assert forward.splits == is_decoder


def test_the_beginning_of_a_group_is_computed_once(tmp_path: Path) -> None:
    forward = _forward(tiny.llama(tmp_path))
    assert forward.splits
    group = _group(128, [10, 20, 30, 40], 1)
    others = _encoded([50, 60])
    found = forward.run([group[0], others[0], group[1], others[1], group[2], group[3]])
    assert sorted(one.reused for one in found) == [0, 0, 0, 128, 128, 128]
    # Too short a beginning, or one too short for what follows it, is not worth a pass of its own.
    assert [one.reused for one in forward.run(_group(48, [10, 20], 2))] == [0, 0]
    assert [one.reused for one in forward.run(_group(64, [192, 190], 3))] == [0, 64]
    assert [one.reused for one in forward.run(_group(40, [200, 200], 4))] == [0, 0]


def test_an_encoder_sees_both_segments(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path)
    encoder = Encoder(AutoTokenizer.from_pretrained(path), "pair", 256)
    one = encoder.encode(Conversation((("user", "w1 w2"),), (("assistant", "w3"),)), "refuse")
    assert one.types == (0, 0, 0, 0, 1, 1)
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        ids, types = torch.tensor([one.ids]), torch.tensor([one.types])
        wanted = float(theirs(ids, token_type_ids=types).logits[0, 0])
    forward = _forward(path)
    assert not forward.splits
    assert forward.run([one])[0].values == pytest.approx([wanted], abs=1e-6)


def test_memory_that_runs_out_costs_the_item_that_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = _forward(tiny.llama(tmp_path))
    base = forward._loaded.model.base_model
    real, calls = base.forward, {"failed": 0}

    def small_device(*args: Any, **options: Any) -> Any:
        if options["input_ids"].shape[1] > 100:
            calls["failed"] += 1
            raise torch.OutOfMemoryError("the device has no memory for this")
        return real(*args, **options)

    monkeypatch.setattr(base, "forward", small_device)
    short, long, other = _encoded([50, 150, 60])
    found = forward.run([short, long, other])
    assert [one.out_of_memory for one in found] == [False, True, False]
    assert calls["failed"] == 2


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match=r"config\.json"):
        _forward(tmp_path / "nothing")
    path = tiny.llama(tmp_path / "base")
    with pytest.raises(ModelUnusableError, match="device 'tpu:9' cannot be used"):
        load_classifier(path, device="tpu:9", dtype="float32")
