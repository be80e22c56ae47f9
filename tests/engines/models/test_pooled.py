"""Classifiers of averaged hidden states."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel, BertModel

from reward_servers.engines.models import Encoded, Forward, ModelUnusableError, load_base, load_classifier
from tests.engines.models import tiny


def _encoder(path: Path) -> Path:
    tiny.bert(path)
    BertModel.from_pretrained(path).save_pretrained(path)
    return path


def test_a_head_on_averaged_states_is_written_and_read_again(tmp_path: Path) -> None:
    base = load_base(_encoder(tmp_path / "base"), "mean")
    base.model.save_pretrained(tmp_path / "out")
    base.tokenizer.save_pretrained(tmp_path / "out")
    items = [Encoded((8, 9, 10), (0, 0, 1)), Encoded(tuple(range(20, 60)))]
    loaded = load_classifier(tmp_path / "out", device="cpu", dtype="float32")
    encoder, head = AutoModel.from_pretrained(tmp_path / "out").eval(), base.model.classifier
    with torch.inference_mode():
        wanted = []
        for one in items:
            types = torch.tensor([one.types or (0,) * len(one.ids)])
            hidden = encoder(torch.tensor([one.ids]), token_type_ids=types).last_hidden_state[0]
            wanted.append(float(head(hidden.mean(0))))
    assert [one.values[0] for one in Forward(loaded, prefix_bytes=0).run(items)] == pytest.approx(wanted, abs=1e-6)


def test_averages_leave_padding_out(tmp_path: Path) -> None:
    model = load_base(_encoder(tmp_path), "mean").model.eval()
    with torch.inference_mode():
        alone = model(input_ids=torch.tensor([[8, 9]])).logits
        beside = model(input_ids=torch.tensor([[8, 9, 0, 0]]), attention_mask=torch.tensor([[1, 1, 0, 0]])).logits
    assert beside == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("spoil", ["missing", "foreign", "garbage", "shape"])
def test_a_head_that_cannot_be_used_is_named(tmp_path: Path, spoil: str) -> None:
    base = load_base(_encoder(tmp_path / "base"), "mean")
    base.model.save_pretrained(tmp_path / "out")
    base.tokenizer.save_pretrained(tmp_path / "out")
    file = tmp_path / "out" / "head.safetensors"
    if spoil == "missing":
        file.unlink()
    elif spoil == "foreign":
        save_file({"w": torch.zeros(2, 2)}, file)
    elif spoil == "garbage":
        file.write_bytes(b"garbage" * 9)
    else:
        save_file({"weight": torch.zeros(1, 7), "bias": torch.zeros(1)}, file)
    with pytest.raises(ModelUnusableError, match=r"head\.safetensors"):
        load_classifier(tmp_path / "out", device="cpu", dtype="float32")
