"""Writes an encoder of texts into a folder whose vectors are those below.

``python -m examples.papers.encoder examples/papers/encoder`` has written the files beside this one. It is a decoder of
one layer whose attention and feed-forward part are 0, and the vector of a text is that of its last word. An encoder to
be used is trained: give the path of one of sentence-transformers in ``server.toml``, with ``summary = "mean"``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

_PAD, _OTHER = "<pad>", "<other>"

VECTORS = {
    _OTHER: (1.0, 1.0),
    "tides?": (1.0, 0.0),
    "phases?": (0.0, 1.0),
    "moon.": (1.0, 0.0),
    "water.": (0.6, 0.8),
    "sun.": (0.0, 1.0),
    "round.": (0.8, 0.6),
}
"""By the last word; the model makes their length the same."""


def write(folder: Path, vectors: Mapping[str, tuple[float, ...]] = VECTORS) -> None:
    """Write configuration, tokenizer and weights.

    Args:
        folder: Where to.
        vectors: By the last word; the first word stands for all others.
    """
    words = [_PAD, *vectors]
    config = LlamaConfig(
        vocab_size=len(words), hidden_size=len(vectors[_OTHER]), intermediate_size=2, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1, max_position_embeddings=256, pad_token_id=0,
        bos_token_id=None, eos_token_id=None, rms_norm_eps=1e-12,
    )  # fmt: skip
    model = LlamaModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        for place, vector in enumerate([vectors[_OTHER], *vectors.values()]):
            model.embed_tokens.weight[place] = torch.tensor(vector)
    model.save_pretrained(folder)
    inner = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token=_OTHER))
    inner.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, unk_token=_OTHER, pad_token=_PAD, model_max_length=256
    ).save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
