"""Weights that a model's files lack: never drawn by lot, but for a head that is about to be trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, LlamaForTokenClassification

from reward_servers.engines.models import (
    ModelUnusableError,
    load_base,
    load_causal,
    load_classifier,
    load_encoder,
    load_token_classifier,
    load_towers,
)
from reward_servers.training import PreferencePair, Run, train_preference
from tests.engines.models import architectures, pictures, tiny
from tests.engines.models.causal import causal

torch.set_num_threads(1)
BASES = ("llama", "gpt2", "gpt-neox", "bert", "roberta", "deberta-v2", "modernbert", "distilbert")
CPU: dict[str, Any] = {"device": "cpu", "dtype": "float32"}


def _without(path: Path, ends: str) -> None:
    """Take one weight out of the files of a model."""
    file = path / "model.safetensors"
    tensors = load_file(file)
    del tensors[next(name for name in sorted(tensors) if name.endswith(ends))]
    save_file(tensors, file, metadata={"format": "pt"})


def _backbone(path: Path, name: str) -> Path:
    """The model below the head of a classifier."""
    whole = architectures.make(name, path)
    AutoModel.from_pretrained(whole).save_pretrained(path)
    return path


def _tokens(path: Path) -> Path:
    LlamaForTokenClassification(tiny.llama_config(1)).save_pretrained(path)  # type: ignore[no-untyped-call]
    tiny.tokenizer(path)
    return path


def _pooled(path: Path) -> Path:
    base = load_base(_backbone(path / "base", "bert"), "mean")
    base.model.save_pretrained(path)
    base.tokenizer.save_pretrained(path)
    return path


LACKING: dict[str, tuple[Callable[[Path], Path], str, Callable[[Path], object]]] = {
    "classifier": (tiny.llama, "layers.1.mlp.up_proj.weight", lambda path: load_classifier(path, **CPU)),
    "its pooler": (tiny.bert, "pooler.dense.weight", lambda path: load_classifier(path, **CPU)),
    "below an average": (_pooled, "layer.1.output.dense.weight", lambda path: load_classifier(path, **CPU)),
    "steps": (_tokens, "layers.1.mlp.up_proj.weight", lambda path: load_token_classifier(path, **CPU)),
    "encoder": (tiny.bert, "layer.1.output.dense.weight", lambda path: load_encoder(path, **CPU)),
    "tower": (pictures.clip, "visual_projection.weight", lambda path: load_towers(path, joint=False, **CPU)),
    "joint": (pictures.blip, "crossattention.self.query.weight", lambda path: load_towers(path, joint=True, **CPU)),
    "language": (causal, "layers.1.mlp.up_proj.weight", lambda path: load_causal(path, **CPU)),
    "to train": (tiny.llama, "layers.1.mlp.up_proj.weight", load_base),
    "to train, averaged": (tiny.bert, "layer.1.output.dense.weight", lambda path: load_base(path, "mean")),
    "to train, in pieces": (causal, "layers.1.mlp.up_proj.weight", lambda path: load_base(path, "chunks")),
    "to train, by tokens": (causal, "layers.1.mlp.up_proj.weight", lambda path: load_base(path, of_tokens=True)),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_weight_that_the_files_lack_is_refused_with_directory_and_remedy(tmp_path: Path, name: str) -> None:
    make, ends, load = LACKING[name]
    _without(make(tmp_path), ends)
    with pytest.raises(ModelUnusableError) as refused:
        load(tmp_path)
    said = str(refused.value)
    assert str(tmp_path) in said
    assert ends in said
    assert "download all of its files again" in said


@pytest.mark.parametrize(
    "name", ["llama", "gpt2", "gpt-neox", "bert", "roberta", "deberta-v2", "modernbert", "distilbert"]
)
def test_a_head_to_train_may_be_new_whatever_it_consists_of(tmp_path: Path, name: str) -> None:
    path = _backbone(tmp_path, name)
    if name == "bert":
        _without(path, "pooler.dense.weight")
    loaded = load_base(path)
    backbone = AutoModel.from_pretrained(path).state_dict()
    own = loaded.model.base_model.state_dict()
    shared = [key for key in own if "pooler" not in key]
    assert shared
    assert all(bool((own[key] == backbone[key]).all()) for key in shared)
    with pytest.raises(ModelUnusableError, match="no weights for"):
        load_classifier(path, **CPU)


@pytest.mark.parametrize(
    ("name", "lacks"), [("bert", "pooler"), ("distilbert", "pre_classifier"), ("modernbert", "head")]
)
def test_a_part_that_no_training_would_reach_is_refused(tmp_path: Path, name: str, lacks: str) -> None:
    path = _backbone(tmp_path, name)
    if name == "bert":
        _without(path, "pooler.dense.weight")
    with pytest.raises(ModelUnusableError, match=rf"{lacks}\..*use pooling 'mean', or train without freeze"):
        load_base(path, frozen=True)
    assert load_base(path, "mean", frozen=True).model.classifier.out_features == 1


def test_a_run_on_a_frozen_backbone_asks_for_all_below_the_head(tmp_path: Path) -> None:
    path = _backbone(tmp_path / "base", "distilbert")
    rows = [
        PreferencePair((("user", f"w{one}"),), (("assistant", "w1"),), (("assistant", "w2"),)) for one in range(3, 9)
    ]
    with pytest.raises(ModelUnusableError, match=r"pre_classifier.*train without freeze"):
        train_preference(rows, Run(path, freeze=True), tmp_path / "out")


def test_a_kind_of_head_that_is_none_is_refused(tmp_path: Path) -> None:
    path = _pooled(tmp_path)
    config = path / "config.json"
    config.write_text(config.read_text().replace('"pooled_head": "mean"', '"pooled_head": "middle"'))
    with pytest.raises(ModelUnusableError, match="pooled_head 'middle', which is none; train it again"):
        load_classifier(path, **CPU)
