"""Tiny random models of texts and pictures, made in a temporary directory, and pictures."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import BlipConfig, BlipForImageTextRetrieval, CLIPConfig, CLIPModel

from tests.engines.models import tiny

SIDE = 32
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": SIDE,
    "patch_size": 8,
}
_TEXT = {
    "vocab_size": len(tiny.SPECIAL + tiny.WORDS),
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 1,
    "eos_token_id": 6,
    "pad_token_id": 0,
}
_PREPROCESSOR = {
    "do_resize": True,
    "do_center_crop": True,
    "do_rescale": True,
    "do_normalize": True,
    "size": {"shortest_edge": SIDE},
    "crop_size": {"height": SIDE, "width": SIDE},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


def _beside(path: Path, **changes: object) -> Path:
    tiny.tokenizer(path, chat=False, pair=True)
    (path / "preprocessor_config.json").write_text(json.dumps({**_PREPROCESSOR, **changes}))
    return path


def clip(path: Path) -> Path:
    """Two towers."""
    torch.manual_seed(0)
    text = {**_TEXT, "max_position_embeddings": 16}
    config = CLIPConfig(text_config=text, vision_config=_VISION, projection_dim=16)
    CLIPModel(config).save_pretrained(path)
    return _beside(path)


def blip(path: Path) -> Path:
    """A text encoder that looks at the picture."""
    torch.manual_seed(0)
    text = {**_TEXT, "encoder_hidden_size": 32, "max_position_embeddings": 64}
    BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=_VISION)).save_pretrained(path)
    return _beside(path, do_center_crop=False, size={"height": SIDE, "width": SIDE})


def head(file: Path, *widths: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Write linear layers from the first width to the last one."""
    draw = torch.Generator().manual_seed(1)
    layers = [
        (torch.randn(out, into, generator=draw), torch.randn(out, generator=draw)) for into, out in pairwise(widths)
    ]
    named: dict[str, torch.Tensor] = {}
    for place, (weight, bias) in enumerate(layers):
        named |= {f"layers.{2 * place}.weight": weight, f"layers.{2 * place}.bias": bias}
    save_file(named, file)
    return layers


def picture(width: int = 50, height: int = 40, seed: int = 0, kind: str = "PNG") -> bytes:
    """A picture of random pixels."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), generator=draw, dtype=torch.uint8).numpy()
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind)
    return written.getvalue()
