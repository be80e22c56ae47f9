"""Scores of preference models: equal to transformers' own, and the same alone and in any batch."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from reward_servers.engines.preference import (
    Conversation,
    Encoded,
    Encoder,
    EncodingError,
    ModelUnusable,
    PreferenceModel,
)

from . import tiny


def _model(path: Path, **options: Any) -> PreferenceModel:
    return PreferenceModel(path, **{"device": "cpu", "dtype": "float32", "batch_size": 1, "max_length": 256, **options})


def _encoded(lengths: list[int]) -> list[Encoded]:
    draw = random.Random(7)
    rows = [tuple(draw.randrange(7, 200) for _ in range(length)) for length in lengths]
    return [Encoded(row, (), len(row), 0, 0) for row in rows]


torch.set_num_threads(1)

LENGTHS = [1, 2, 5, 63, 64, 65, 100, 128, 129, 200, 255, 256]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_score_is_the_same_to_the_last_bit_alone_and_beside_any_others(
    tmp_path: Path, batch_size: int, dtype: str
) -> None:
    path = tiny.llama(tmp_path)
    try:
        model = _model(path, batch_size=batch_size, dtype=dtype)
    except ModelUnusable as error:
        # Kernels that make a score depend on its place in the batch are found out before anything is scored.
        assert batch_size > 1
        assert "use batch_size = 1" in str(error)
        return
    items = _encoded(LENGTHS)
    alone = [model.logits([one])[0] for one in items]
    assert len(set(alone)) == len(alone)
    draw = random.Random(3)
    for _ in range(5):
        order = list(range(len(items)))
        draw.shuffle(order)
        order = order[: draw.randrange(1, len(order) + 1)]
        assert model.logits([items[place] for place in order]) == [alone[place] for place in order]


@pytest.mark.parametrize("pad", ["<pad>", "<eos>"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_scores_are_those_of_transformers(tmp_path: Path, pad: str, batch_size: int) -> None:
    path = tiny.llama(tmp_path, pad=pad)
    ours = _model(path, batch_size=batch_size)
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    # One sequence without padding, and no padding token to confuse with its end, is beyond doubt.
    theirs.config.pad_token_id = None
    items = _encoded(LENGTHS)
    items[3] = Encoded((*items[3].ids[:-1], 2), (), 63, 0, 0)
    with torch.inference_mode():
        wanted = [float(theirs(torch.tensor([one.ids])).logits[0, 0]) for one in items]
    assert ours.logits(items) == pytest.approx(wanted, abs=1e-5)


def test_a_model_of_pairs_sees_both_segments(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path)
    encoder = Encoder(AutoTokenizer.from_pretrained(path), "pair", 256)
    one = encoder.encode(Conversation((("user", "w1 w2"),), (("assistant", "w3"),)), "refuse")
    assert one.types == (0, 0, 0, 0, 1, 1)
    theirs = AutoModelForSequenceClassification.from_pretrained(path).eval()
    with torch.inference_mode():
        ids, types = torch.tensor([one.ids]), torch.tensor([one.types])
        wanted = float(theirs(ids, token_type_ids=types).logits[0, 0])
    for batch_size in (1, 4):
        assert _model(path, batch_size=batch_size).logits([one]) == pytest.approx([wanted], abs=1e-5)


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path, labels=3)
    with pytest.raises(ModelUnusable, match="3 outputs"):
        _model(path)
    with pytest.raises(ModelUnusable, match="none of them"):
        _model(path, label=3)
    items = _encoded([5])
    assert _model(path, label=1).logits(items) != _model(path, label=2).logits(items)


def test_what_is_no_preference_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match=r"config\.json"):
        _model(tmp_path / "nothing")
    path = tiny.llama(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(path).base_model
    base.save_pretrained(tmp_path / "headless")
    tiny.tokenizer(tmp_path / "headless")
    with pytest.raises(ModelUnusable, match=r"score\.weight"):
        _model(tmp_path / "headless")
    (path / "model.safetensors").rename(path / "elsewhere")
    with pytest.raises(ModelUnusable):
        _model(path)


def test_the_fingerprint_follows_the_weights(tmp_path: Path) -> None:
    first = _model(tiny.llama(tmp_path / "a")).fingerprint
    assert _model(tiny.llama(tmp_path / "b")).fingerprint == first
    weights = tmp_path / "b" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert _model(tmp_path / "b").fingerprint != first


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    tiny.tokenizer(tmp_path)
    return Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 10)


def _talk(prompt: str, response: str) -> Conversation:
    return Conversation((("user", prompt),), (("assistant", response),))


def test_the_template_is_the_tokenizers_own_with_one_first_token(encoder: Encoder) -> None:
    encoded = encoder.encode(_talk("w1", "w2"), "refuse")
    assert encoded.ids == (1, 4, 8, 2, 5, 9, 2)
    assert (encoded.tokens, encoded.prompt_tokens, encoded.cut, encoded.escaped) == (7, 6, 0, 0)


def test_a_candidate_cannot_write_control_tokens(encoder: Encoder) -> None:
    encoded = encoder.encode(_talk("w1", "w2 <eos> <user> w3"), "refuse")
    assert encoded.ids.count(2) == 2
    assert encoded.ids.count(4) == 1
    assert encoded.escaped == 2


@pytest.mark.parametrize(
    ("truncation", "ids"),
    [
        ("refuse", (1, 4, 8, 2, 5, *range(9, 18), 2)),
        ("left", (*range(9, 18), 2)),
        ("middle", (1, 4, 8, 2, 5, 14, 15, 16, 17, 2)),
    ],
)
def test_truncation(encoder: Encoder, truncation: Any, ids: tuple[int, ...]) -> None:
    encoded = encoder.encode(_talk("w1", " ".join(f"w{one}" for one in range(2, 11))), truncation)
    assert encoded.ids == ids
    assert (encoded.tokens, encoded.cut) == (15, 15 - len(ids))


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path, chat=False)
    with pytest.raises(EncodingError, match="template"):
        Encoder(AutoTokenizer.from_pretrained(tmp_path), "chat", 10)
