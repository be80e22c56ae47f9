"""Scorers of pictures: what transformers gives, and a typed outcome for what is no picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoTokenizer, BlipForImageTextRetrieval, CLIPModel
from transformers.models.clip import image_processing_pil_clip

from reward_servers.core import Message, Part, StartupError, Verdict, bind
from reward_servers.engines.media import ImageLimits, read_image, read_preprocessor
from reward_servers.verifiers.models.image_text import ImageText
from tests.engines.models import pictures
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, rollout

torch.set_num_threads(1)


def _serve(path: Path, **settings: Any) -> Any:
    return bench(bind(declared(ImageText), {"path": str(path), "threads": 1, **settings}))


def _evaluated(kind: Any, path: Path) -> Any:
    return kind.from_pretrained(path).eval()


def _asks(data: bytes, prompt: str = "w1 w2", name: str = "r") -> Any:
    return rollout((Message("assistant", (Part("blob", data=data),)),), prompt=prompt, rollout_id=name)


def _pixels(path: Path, data: bytes) -> torch.Tensor:
    image = read_image(data, ImageLimits(side=10_000))
    return torch.from_numpy(read_preprocessor(path).pixels(image))[None]


@pytest.mark.parametrize(("width", "height"), [(50, 40), (40, 51), (33, 200), (32, 32), (20, 90), (7, 5)])
def test_pixels_are_those_of_the_published_preprocessor(tmp_path: Path, width: int, height: int) -> None:
    path = pictures.clip(tmp_path)
    theirs = image_processing_pil_clip.CLIPImageProcessorPil.from_pretrained(path)
    data = pictures.picture(width, height)
    wanted = theirs(Image.open(io.BytesIO(data)), return_tensors="pt")["pixel_values"]
    assert torch.allclose(_pixels(path, data), wanted, atol=1e-6)


async def test_a_picture_is_scored_by_the_cosine_of_two_towers(tmp_path: Path) -> None:
    path, data = pictures.clip(tmp_path), pictures.picture()
    model, tokenizer = _evaluated(CLIPModel, path), AutoTokenizer.from_pretrained(path)
    with torch.inference_mode():
        ids = tokenizer("w1 w2", return_tensors="pt")["input_ids"]
        found = model(input_ids=ids, pixel_values=_pixels(path, data))
    wanted, scale = float(found.logits_per_text[0, 0]), float(model.logit_scale.detach().exp())
    async with _serve(path, mean=0.5, std=2.0) as running:
        one = await running.verdict("image_text", _asks(data))
        squashed = await running.verdict("image_text", _asks(data), {"scale": "sigmoid"})
        seeds = range(1, 5)
        several = [_asks(pictures.picture(seed=seed), f"w{seed}", str(seed)) for seed in seeds]
        together = [out for out in await running.outcomes("image_text", several) if isinstance(out, Verdict)]
        alone = [await running.verdict("image_text", out) for out in several]
        long = " ".join(["w1"] * 40)
        cut = await running.verdict("image_text", _asks(data, long))
        refused = await running.fault("image_text", _asks(data, long), {"truncation": "refuse"})
    aspects = dict(one.aspects)
    assert aspects["raw"] == pytest.approx(wanted, abs=1e-5)
    assert one.score == pytest.approx(max(0.0, wanted / scale), abs=1e-6)
    assert squashed.score == pytest.approx(float(torch.sigmoid(torch.tensor((wanted - 0.5) / 2.0))), abs=1e-6)
    assert [out.aspects for out in together] == [out.aspects for out in alone]
    assert (evidence(cut)["tokens"], evidence(cut)["cut"]) == (16, 26)
    assert (refused.party.value, refused.code) == ("dataset", "prompt_too_long")


async def test_what_is_no_picture_costs_itself_alone(tmp_path: Path) -> None:
    good, frames = pictures.picture(), io.BytesIO()
    shots = [Image.open(io.BytesIO(pictures.picture(seed=seed))) for seed in range(2)]
    shots[0].save(frames, "GIF", save_all=True, append_images=shots[1:])
    items = [
        _asks(good, name="a"),
        _asks(b"no picture", name="b"),
        _asks(good[:200], name="c"),
        _asks(frames.getvalue(), name="d"),
        rollout("words alone", prompt="w1", rollout_id="e"),
        _asks(good, name="f"),
    ]
    async with _serve(pictures.clip(tmp_path)) as running:
        found = await running.outcomes("image_text", items)
    codes = [one.code if isinstance(one, Verdict) else repr(one) for one in found]
    assert codes[1:5] == ["malformed", "malformed", "limit", "no_answer"]
    assert isinstance(found[0], Verdict)
    assert isinstance(found[5], Verdict)
    assert found[0].score == found[5].score


async def test_a_head_on_the_picture_says_how_it_looks(tmp_path: Path) -> None:
    path, data, file = pictures.clip(tmp_path / "clip"), pictures.picture(), tmp_path / "head.safetensors"
    layers = pictures.head(file, 16, 8, 1)
    with torch.inference_mode():
        vision = _evaluated(CLIPModel, path)
        vector = vision.visual_projection(vision.vision_model(pixel_values=_pixels(path, data)).pooler_output)[0]
        vector = vector / vector.norm()
        for weight, bias in layers:
            vector = weight @ vector + bias
    async with _serve(path, kind="aesthetic", head=str(file), mean=5.0) as running:
        one = await running.verdict("image_text", _asks(data, " ".join(["w1"] * 400)))
        fault = await running.fault("image_text", _asks(data), {"scale": "cosine"})
    assert dict(one.aspects)["raw"] == pytest.approx(float(vector[0]), abs=1e-5)
    assert dict(one.aspects)["cosine"] is None
    assert one.score == pytest.approx(float(torch.sigmoid(vector[0] - 5.0)), abs=1e-6)
    assert (fault.party.value, fault.code) == ("caller", "no_cosine")


async def test_a_head_on_a_text_that_looks_at_the_picture(tmp_path: Path) -> None:
    path, data, file = pictures.blip(tmp_path / "blip"), pictures.picture(), tmp_path / "head.safetensors"
    layers = pictures.head(file, 32, 4, 1)
    tokenizer, model = AutoTokenizer.from_pretrained(path), _evaluated(BlipForImageTextRetrieval, path)
    given = tokenizer("w1 w2", return_tensors="pt", padding="max_length", max_length=35)
    with torch.inference_mode():
        seen = model.vision_model(pixel_values=_pixels(path, data)).last_hidden_state
        hidden = model.text_encoder(
            input_ids=given["input_ids"], attention_mask=given["attention_mask"], encoder_hidden_states=seen
        ).last_hidden_state
        vector = hidden[0, 0]
        for weight, bias in layers:
            vector = weight @ vector + bias
    async with _serve(path, kind="image_reward", head=str(file), max_length=35) as running:
        one = await running.verdict("image_text", _asks(data))
    assert dict(one.aspects)["raw"] == pytest.approx(float(vector[0]), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        ("", {"kind": "aesthetic"}, "kind 'aesthetic' needs a file"),
        ("", {"head": "head.safetensors"}, "kind 'clip' has none"),
        (
            "",
            {"kind": "aesthetic", "head": "narrow.safetensors"},
            r"narrow.safetensors: .*16 numbers come in",
        ),
        ("", {"kind": "aesthetic", "head": "missing.safetensors"}, "missing.safetensors: the head cannot be loaded"),
        ("preprocessor_config.json", {}, "preprocessor_config.json: the preprocessor configuration cannot be loaded"),
        ("text", {}, "has a .*, not a model of two towers|is a .*, not a model of two towers"),
    ],
)
async def test_what_does_not_fit_is_refused(tmp_path: Path, change: str, settings: Any, says: str) -> None:
    path = pictures.clip(tmp_path / "clip")
    pictures.head(tmp_path / "head.safetensors", 16, 1)
    pictures.head(tmp_path / "narrow.safetensors", 8, 1)
    if change == "text":
        from tests.engines.models import tiny

        path = tiny.bert(tmp_path / "bert")
    elif change:
        (path / change).unlink()
    given = {key: str(tmp_path / value) if key == "head" else value for key, value in settings.items()}
    with pytest.raises(StartupError, match=says):
        async with _serve(path, **given):
            pass


def test_a_preprocessor_that_asks_for_more_is_refused(tmp_path: Path) -> None:
    path = pictures.clip(tmp_path)
    known = json.loads((path / "preprocessor_config.json").read_text())
    for change, says in (
        ({"do_pad": True}, "do_pad is not done here"),
        ({"size": {"longest_edge": 5}}, "size: .* is neither"),
        ({"image_mean": [1]}, "image_mean: .* is not three numbers"),
    ):
        (path / "preprocessor_config.json").write_text(json.dumps({**known, **change}))
        with pytest.raises(ValueError, match=says):
            read_preprocessor(path)
