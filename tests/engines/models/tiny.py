"""Tiny random models with a word-level tokenizer, made in a temporary directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

WORDS = [f"w{number}" for number in range(200)]
SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>", "<user>", "<assistant>", "[SEP]"]
CHAT = "<bos>{% for m in messages %} <{{ m.role }}> {{ m.content }} <eos>{% endfor %}"


def tokenizer(
    path: Path, *, pad: str = "<pad>", chat: bool = True, pair: bool = False, words: Sequence[str] = WORDS
) -> None:
    """Write a tokenizer."""
    inner = Tokenizer(WordLevel({word: place for place, word in enumerate([*SPECIAL, *words])}, unk_token="<unk>"))
    inner.pre_tokenizer = WhitespaceSplit()
    if pair:
        inner.post_processor = TemplateProcessing(
            single="<bos> $A [SEP]", pair="<bos> $A [SEP] $B:1 [SEP]:1", special_tokens=[("<bos>", 1), ("[SEP]", 6)]
        )
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        pad_token=pad,
        additional_special_tokens=["<user>", "<assistant>"],
        model_max_length=256,
        model_input_names=["input_ids", *(["token_type_ids"] if pair else []), "attention_mask"],
    )
    if chat:
        fast.chat_template = CHAT
    fast.save_pretrained(path)


def llama_config(labels: int, pad: str = "<pad>") -> LlamaConfig:
    """Of a decoder of two layers."""
    return LlamaConfig(  # type: ignore[call-arg]  # `num_labels` is a keyword of every configuration
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        num_labels=labels,
        pad_token_id=SPECIAL.index(pad),
        bos_token_id=1,
        eos_token_id=2,
    )


def llama(path: Path, *, labels: int = 1, pad: str = "<pad>", chat: bool = True) -> Path:
    """A decoder with a score head."""
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(llama_config(labels, pad))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(path)
    tokenizer(path, pad=pad, chat=chat)
    return path


def bert(path: Path) -> Path:
    """An encoder of pairs."""
    torch.manual_seed(0)
    config = BertConfig(  # type: ignore[call-arg]
        vocab_size=len(SPECIAL + WORDS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        num_labels=1,
        pad_token_id=0,
    )
    BertForSequenceClassification(config).save_pretrained(path)
    tokenizer(path, chat=False, pair=True)
    return path
