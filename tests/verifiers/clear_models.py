"""Models that can be seen through: what they say can be worked out by hand."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM, LlamaForTokenClassification

from examples.papers.encoder import __main__ as encoder
from examples.papers.reviewer import __main__ as reviewer
from tests.client.conftest import ROOT
from tests.engines.models import pictures, tiny
from tests.engines.models.causal import causal

ENCODER = ROOT / "examples" / "papers" / "encoder"
_NEVER, _ALWAYS = 1e-13, 1.0 - 1e-13
_SIZE = 32
"""Numbers that stand for a token in the tiny models."""
_SURE = 60.0
"""Log-odds beside which nothing else is likely."""


def last_words(path: Path) -> Path:
    """A preference model that finds a text as good as its last word: 0 for all words but these."""
    known = {word: heads[:1] for word, heads in reviewer.PROBABILITIES.items()}
    more = {"<other>": (_NEVER,), "gains?": (_ALWAYS,), "this?": (0.25,), "so?": (0.25,), "why?": (0.25,)}
    path.mkdir(exist_ok=True)
    reviewer.write(path, {**known, **more})
    return path


def apart(path: Path) -> Path:
    """The encoder of the papers with more axes, on one of which all words stand that it does not know."""
    vectors = {word: (*two, 0.0, 0.0) for word, two in encoder.VECTORS.items()}
    encoder.write(path, {**vectors, "<other>": (0.0, 0.0, 1.0, 0.0)})
    return path


def marked_steps(path: Path) -> Path:
    """A classifier of tokens: a step is right where more ``42`` than ``41`` stand up to its end, and else wrong.

    Where only ``maybe`` stands, it is right with the probability 1/4.
    """
    model = LlamaForTokenClassification(tiny.llama_config(2))  # type: ignore[no-untyped-call]
    marks = {"42": (0, 1.0), "41": (0, -1.0), "maybe": (1, 1.0)}
    with torch.no_grad():
        _see_marks(model.model, dict(enumerate(marks.values(), start=len(tiny.SPECIAL))))
        model.score.weight.zero_()
        model.score.bias.zero_()
        _says(model.score.weight[1], _SURE, -math.log(3.0), -_SURE)
    model.save_pretrained(path)
    tiny.tokenizer(path, words=list(marks))
    return path


def marked_texts(path: Path) -> Path:
    """A language model that goes on with ``7`` for ever where more ``+`` than ``-`` stand, and else ends.

    Where only ``*`` stands, each of its 264 tokens is as likely as the others.
    """
    causal(path, positions=1024)
    ids: Mapping[str, int] = AutoTokenizer.from_pretrained(path).get_vocab()
    model: Any = LlamaForCausalLM.from_pretrained(path)
    with torch.no_grad():
        _see_marks(model.model, {ids["+"]: (0, 1.0), ids["-"]: (0, -1.0), ids["*"]: (1, 1.0)})
        model.lm_head.weight.zero_()
        _says(model.lm_head.weight[ids["7"]], _SURE, 0.0, 0.0)
        _says(model.lm_head.weight[ids["<eos>"]], -_SURE, 0.0, _SURE)
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


def _see_marks(decoder: Any, marks: Mapping[int, tuple[int, float]]) -> None:
    """Make a decoder sum up the marks that stand before a token, on the axis of each; other tokens have the axis 2.

    Attention without queries is the mean of all that stands before. It is made loud, so that one mark in the longest
    text outweighs the axis 2, and the norm behind makes the root of the size of the one axis that is loud.
    """
    for name, parameter in decoder.named_parameters():
        parameter.fill_(1.0 if "norm" in name else 0.0)
    decoder.embed_tokens.weight[:, 2] = 1.0
    for token, (axis, value) in marks.items():
        decoder.embed_tokens.weight[token, 2] = 0.0
        decoder.embed_tokens.weight[token, axis] = value
    attention = decoder.layers[0].self_attn
    for axis in (0, 1):
        attention.v_proj.weight[axis, axis] = 1.0
        attention.o_proj.weight[axis, axis] = 1e8


def _says(weights: torch.Tensor, *log_odds: float) -> None:
    """Set what an output says where each axis is the loud one."""
    weights[: len(log_odds)] = torch.tensor(log_odds) / math.sqrt(_SIZE)
