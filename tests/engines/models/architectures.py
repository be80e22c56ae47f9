"""Seventeen kinds of sequence classifiers, tiny and random, with the tokenizer of ``tiny``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.engines.models import tiny

VOCABULARY = len(tiny.SPECIAL + tiny.WORDS)
LENGTH = 160
WINDOW = 48

_DECODER = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": LENGTH,
    "num_labels": 1,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_ENCODER = {name: _DECODER[name] for name in _DECODER if name != "num_key_value_heads"}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": LENGTH,
    **{name: _DECODER[name] for name in ("num_labels", "pad_token_id", "bos_token_id", "eos_token_id")},
}


def _config(name: str, base: Mapping[str, Any], **more: Any) -> Callable[[], Any]:
    return lambda: getattr(transformers, name)(**{**base, **more})


CONFIGURATIONS: dict[str, Callable[[], Any]] = {
    "llama": _config("LlamaConfig", _DECODER),
    "llama-pad-is-eos": _config("LlamaConfig", _DECODER, pad_token_id=2),
    "qwen2": _config("Qwen2Config", _DECODER),
    "qwen2-sliding": _config(
        "Qwen2Config", _DECODER, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "qwen3": _config("Qwen3Config", _DECODER, head_dim=8),
    "mistral-sliding": _config("MistralConfig", _DECODER, sliding_window=WINDOW),
    "gemma2": _config("Gemma2Config", _DECODER, head_dim=8, sliding_window=WINDOW),
    "gemma3": _config("Gemma3TextConfig", _DECODER, head_dim=8, sliding_window=WINDOW),
    "gpt2": _config("GPT2Config", _GPT2),
    "gpt-neox": _config("GPTNeoXConfig", _ENCODER),
    "opt": _config("OPTConfig", _ENCODER, ffn_dim=64, word_embed_proj_dim=32),
    "phi3": _config("Phi3Config", _DECODER, sliding_window=WINDOW),
    "bert": _config("BertConfig", _ENCODER),
    "roberta": _config("RobertaConfig", _ENCODER, type_vocab_size=1),
    "deberta-v2": _config("DebertaV2Config", _ENCODER, relative_attention=True, pos_att_type=["p2c", "c2p"]),
    "modernbert": _config("ModernBertConfig", _ENCODER, global_attn_every_n_layers=3, local_attention=WINDOW),
    "distilbert": _config(
        "DistilBertConfig",
        {"vocab_size": VOCABULARY, "num_labels": 1, "pad_token_id": 0, "max_position_embeddings": LENGTH},
        dim=32,
        hidden_dim=64,
        n_layers=3,
        n_heads=4,
    ),
}


def make(name: str, path: Path) -> Path:
    """Write the model and a tokenizer into a directory."""
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(CONFIGURATIONS[name]())  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(path)
    tiny.tokenizer(path)
    return path
