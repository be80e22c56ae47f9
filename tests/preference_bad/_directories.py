"""Fourteen bad directories: how each is made from a good one, and what must be said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.engines.models import architectures, tiny


@dataclass(frozen=True)
class Bad:
    """A bad directory.

    Attributes:
        make: Writes it.
        says: What the refusal holds besides the directory's path; empty where the server starts.
        settings: Settings besides the path.
        fault: Code of the fault of the response ``w150``, where the server starts; the others are scored.
    """

    make: Callable[[Path], object]
    says: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    fault: str = ""


def _truncated(path: Path) -> None:
    weights = tiny.llama(path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def _garbage(path: Path) -> None:
    (tiny.llama(path) / "model.safetensors").write_bytes(b"\xff" * 4096)


def _missing(path: Path) -> None:
    (tiny.llama(path) / "model.safetensors").unlink()


def _weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    file = path / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def _wrong_shape(path: Path) -> None:
    _weights(tiny.llama(path), lambda tensors: tensors.update({"score.weight": torch.zeros(1, 48)}))


def _causal(path: Path) -> None:
    config = LlamaConfig(
        vocab_size=architectures.VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
    )
    config.num_labels = 1
    AutoModelForCausalLM.from_config(config).save_pretrained(path)  # type: ignore[no-untyped-call]
    tiny.tokenizer(path)


def _no_tokenizer(path: Path) -> None:
    for file in tiny.llama(path).glob("*token*"):
        file.unlink()


def _eats_text(path: Path) -> None:
    """A word-level tokenizer that is said to be Qwen2's: transformers reads it as one, which finds no word of it."""
    architectures.make("qwen2", path)
    config = json.loads((path / "tokenizer_config.json").read_text())
    (path / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": "Qwen2Tokenizer"}))


def _ids_beyond(path: Path) -> None:
    def smaller(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.embed_tokens.weight"] = tensors["model.embed_tokens.weight"][:150].clone()

    _weights(tiny.llama(path), smaller)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "vocab_size": 150}))


def _nan_head(path: Path) -> None:
    _weights(tiny.llama(path), lambda tensors: tensors["score.weight"].fill_(float("nan")))


def _infinite_row(path: Path) -> None:
    """The embedding of the word ``w150`` is infinite: only what holds that word has no score."""
    row = len(tiny.SPECIAL) + 150
    _weights(tiny.llama(path), lambda tensors: tensors["model.embed_tokens.weight"][row].fill_(float("inf")))


def _broken_json(path: Path) -> None:
    (tiny.llama(path) / "config.json").write_text('{"architectures": [')


def _no_eos(path: Path) -> None:
    tiny.llama(path, chat=False)
    config = json.loads((path / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (path / "tokenizer_config.json").write_text(json.dumps(config))


BAD: dict[str, Bad] = {
    "truncated weights": Bad(_truncated, r"model\.safetensors is truncated .* download it again"),
    "garbage as weights": Bad(_garbage, r"model\.safetensors is truncated or no safetensors file .* download it again"),
    "no weights": Bad(_missing, r"has no \*\.safetensors file; convert"),
    "weights of another shape": Bad(_wrong_shape, "the model cannot be loaded: .*; download the model again"),
    "a causal language model": Bad(_causal, r"no weights for score\.weight; give a model that was trained"),
    "no tokenizer": Bad(_no_tokenizer, "the tokenizer cannot be loaded: .*; put the tokenizer's files"),
    "a tokenizer that loses text": Bad(_eats_text, "loses text: .* use the tokenizer that the model was trained with"),
    "ids beyond the embedding": Bad(_ids_beyond, "embeds 150 ids; use the tokenizer of this model"),
    "no chat template": Bad(lambda path: tiny.llama(path, chat=False), "no chat template; use template"),
    "three outputs": Bad(lambda path: tiny.llama(path, labels=3), "3 outputs .* say which with `label` or `heads`"),
    "a head that is not finite": Bad(_nan_head, r"the head's weight .*not finite; download the model again"),
    "one infinite row of the embedding": Bad(_infinite_row, fault="not_finite"),
    "broken JSON": Bad(_broken_json, "cannot be loaded: .*; (put|download)"),
    "no end-of-sequence token": Bad(
        _no_eos, "no end-of-sequence token; set it to 'false'", {"template": "concat", "add_eos": "true"}
    ),
}
