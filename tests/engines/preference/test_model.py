"""Preference models: heads, golden scores, what is refused at the start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from reward_servers.engines.models import Compute, Conversation, ModelUnusableError
from reward_servers.engines.preference import Golden, Head, Layout, PreferenceModel, combine
from tests.engines.models import tiny

torch.set_num_threads(1)


def _model(path: Path, **options: Any) -> PreferenceModel:
    return PreferenceModel(path, **{"max_length": 256, **options})


def _raw(model: PreferenceModel, prompt: str, response: str) -> float:
    talk = Conversation((("user", prompt),), (("assistant", response),))
    return model.run([model.encoder.encode(talk, "refuse")])[0].values[0]


def test_one_of_several_outputs_is_named(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path, labels=3)
    with pytest.raises(ModelUnusableError, match="3 outputs"):
        _model(path)
    with pytest.raises(ModelUnusableError, match="output 3; the model has 3"):
        _model(path, label=3)
    with pytest.raises(ModelUnusableError, match="exclude each other"):
        _model(path, label=1, heads={"kind": Head(0)})
    with pytest.raises(ModelUnusableError, match="give each head its own"):
        _model(path, mean=1.0, heads={"kind": Head(0)})
    assert _model(path, label=2, mean=1.0, std=2.0).heads["logit"] == Head(2, 1.0, 2.0)
    assert set(_model(path, heads={"kind": Head(0), "true": Head(2)}).heads) == {"kind", "true"}


def test_heads_are_standardised_and_weighted() -> None:
    heads = {"kind": Head(0, mean=1.0, std=2.0, weight=0.5), "true": Head(2, weight=2.0)}
    raw = (3.0, 100.0, -1.0)
    assert combine(heads, raw) == 0.5 * (3.0 - 1.0) / 2.0 + 2.0 * -1.0
    assert combine(heads, raw, {"true": 3.0}) == -3.0
    with pytest.raises(KeyError):
        combine(heads, raw, {"honest": 1.0})


def test_a_golden_score_decides_whether_an_end_of_sequence_is_added(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path)
    plain = _model(path, template="concat", add_eos="false")
    ended = _model(path, template="concat", add_eos="true")
    assert _model(path, template="concat").encoder.adds_eos
    for wanted in (plain, ended):
        golden = Golden("w1 w2 ", "w3", _raw(wanted, "w1 w2 ", "w3"), tolerance=1e-5)
        found = _model(path, template="concat", golden=[golden])
        assert found.encoder.adds_eos == wanted.encoder.adds_eos
        assert found.fingerprint == wanted.fingerprint
    assert plain.fingerprint != ended.fingerprint


def test_a_golden_score_of_a_model_without_an_end_of_sequence(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path)
    config = json.loads((path / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    golden = Golden("w1", "w2", _raw(_model(path, template="pair"), "w1", "w2"), tolerance=1e-5)
    assert not _model(path, template="pair", golden=[golden]).encoder.adds_eos


def test_a_golden_score_that_is_not_met_is_told_with_what_was_measured(tmp_path: Path) -> None:
    with pytest.raises(
        ModelUnusableError, match=r"golden scores \[9\.5\] are not met: without end-of-sequence .*; with"
    ):
        _model(tiny.llama(tmp_path), golden=[Golden("w1", "w2", 9.5)])


def test_the_fingerprint_follows_the_weights_and_the_type(tmp_path: Path) -> None:
    first = _model(tiny.llama(tmp_path / "a")).fingerprint
    assert _model(tiny.llama(tmp_path / "b")).fingerprint == first
    assert _model(tmp_path / "b", compute=Compute(dtype="bfloat16")).fingerprint != first
    weights = tmp_path / "b" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    # A byte in the middle: neither the beginning nor the end of the file changes.
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert _model(tmp_path / "b").fingerprint != first


def test_steps_are_encoded_until_there_are_too_many_tokens(tmp_path: Path) -> None:
    tiny.tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    asked = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

        def __call__(self, text: str, **options: Any) -> Any:
            asked.append(text)
            return tokenizer(text, **options)

    layout = Layout(Noting(), "[SEP]", 16)
    asked.clear()
    assert len(layout.lay("w1", ["w2"] * 100_000).ids) == 18
    assert asked == ["w1", *["w2"] * 8]
    assert len(layout.lay("w1", ["w2"] * 7).ids) == 16
