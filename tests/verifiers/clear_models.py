"""Models that can be seen through: what they say can be worked out by hand."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM, LlamaForTokenClassification

from tests.client.conftest import ROOT
from tests.engines.models import pictures, tiny
from tests.engines.models.causal import causal

REVIEWER = ROOT / "examples" / "papers" / "reviewer"
ENCODER = ROOT / "examples" / "papers" / "encoder"


def even_steps(path: Path) -> Path:
    """A classifier of tokens with two labels that finds every step as likely right as wrong: 1/2."""
    torch.manual_seed(0)
    model = LlamaForTokenClassification(tiny.llama_config(2))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        model.score.weight.zero_()
        model.score.bias.zero_()
    model.save_pretrained(path)
    tiny.tokenizer(path)
    return path


def even_words(path: Path) -> Path:
    """A language model to which each of its 264 tokens is as likely as the others."""
    causal(path)
    model = LlamaForCausalLM.from_pretrained(path)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.save_pretrained(path)
    return path


def sure_value(path: Path) -> Path:
    """A value model by the vectors of the encoder: log-odds of log 3 times the first entry less the second one.

    It is so sure of them that no history moves it.
    """
    shutil.copytree(ENCODER, path, dirs_exist_ok=True)
    one, log3 = torch.zeros((), dtype=torch.float64), math.log(3.0)
    weights = torch.tensor([log3, -log3], dtype=torch.float64)
    parameters = {"offset": one, "skill": one - 20.0, "own": one - 20.0, "sharpness": one}
    save_file(
        {"weights": weights, **{name: value.clone() for name, value in parameters.items()}}, path / "value.safetensors"
    )
    return path


def even_looks(path: Path) -> Path:
    """A head on CLIP's picture, `head.safetensors` beside it, that says 0 of every picture."""
    pictures.clip(path)
    pictures.head(path / "head.safetensors", 16, 8, 1)
    zero = {name: torch.zeros_like(value) for name, value in load_file(path / "head.safetensors").items()}
    save_file(zero, path / "head.safetensors")
    return path
