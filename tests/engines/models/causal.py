"""A tiny random causal language model whose tokenizer knows every text: one token for each byte, and a few words."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<bos>", "<eos>", "<|im_start|>", "<|im_end|>"]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT
MERGES = [("y", "e"), ("ye", "s"), ("n", "o"), ("1", "0")]


def causal(path: Path, *, chat: str = CHAT, positions: int = 8192) -> Path:
    """Write the model."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = SPECIAL + alphabet + ["".join(pair) for pair in MERGES]
    inner = Tokenizer(BPE({word: place for place, word in enumerate(words)}, MERGES))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=inner,
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=SPECIAL[2:],
        model_max_length=positions,
    )
    if chat:
        fast.chat_template = chat
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=positions,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4.0 if parameter.dim() > 1 else 1.0)
    model.save_pretrained(path)
    fast.save_pretrained(path)
    return path
