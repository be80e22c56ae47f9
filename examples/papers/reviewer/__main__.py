"""Writes a model with three heads into a folder: effort, evidence and grounding of a reviewer's question.

``python -m examples.papers.reviewer examples/papers/reviewer`` has written the files beside this one. It is a decoder
of one layer whose attention and feed-forward part are 0: what its heads see is the last word alone, on an axis of its
own, so that each head's probability is the number below. A model to be used is trained: `assay train preference` fits
heads to ratings (docs/preference.md).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast

OTHER = "<other>"
"""Stands for all words that are not named."""
_PAD, _END = "<pad>", "<eos>"
_SPECIAL = (_PAD, _END)

PROBABILITIES = {
    OTHER: (0.25, 0.25, 0.25),
    "table-2?": (0.75, 0.75, 0.25),
    "section-3?": (0.75, 0.25, 0.75),
    "ablation?": (0.9, 0.9, 0.9),
}
"""Effort, evidence and grounding, by the last word."""


def write(folder: Path, probabilities: Mapping[str, tuple[float, ...]] = PROBABILITIES) -> None:
    """Write configuration, tokenizer and weights.

    Args:
        folder: Where to.
        probabilities: Of each head, by the last word; the first word stands for all others.
    """
    words = [*_SPECIAL, *probabilities]
    # Positions are turned in planes, so there is an even number of axes.
    size, heads = len(probabilities) + len(probabilities) % 2, len(probabilities[OTHER])
    config = LlamaConfig(  # type: ignore[call-arg]  # `num_labels` is a keyword of every configuration
        vocab_size=len(words), hidden_size=size, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1,
        num_key_value_heads=1, max_position_embeddings=256, num_labels=heads, pad_token_id=0, bos_token_id=None,
        eos_token_id=1, rms_norm_eps=1e-12,
    )  # fmt: skip
    model = LlamaForSequenceClassification(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        for axis, (word, chances) in enumerate(probabilities.items()):
            model.model.embed_tokens.weight[words.index(word), axis] = 1.0
            # The norm makes the root of their number of the one entry: 2 in four.
            for head, probability in enumerate(chances):
                model.score.weight[head, axis] = math.log(probability / (1 - probability)) / math.sqrt(size)
        model.model.embed_tokens.weight[: len(_SPECIAL), 0] = 1.0
    model.save_pretrained(folder)
    inner = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token=OTHER))
    inner.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner, eos_token=_END, unk_token=OTHER, pad_token=_PAD, model_max_length=256
    ).save_pretrained(folder)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
