"""Heads that attend over chunks of a decoder's last state: written, read, trained from the command line, served."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, LlamaForCausalLM

from reward_servers.cli import run as command
from reward_servers.core import bind
from reward_servers.engines.models import Encoded, Forward, ModelUnusableError, load_base, load_classifier
from reward_servers.verifiers.preference import Preference
from tests.engines.models import tiny
from tests.typed import declared
from tests.verifiers.harness import bench, rollout

torch.set_num_threads(1)


def _language_model(path: Path) -> Path:
    torch.manual_seed(0)
    LlamaForCausalLM(tiny.llama_config(1)).save_pretrained(path)
    tiny.tokenizer(path)
    return path


def _written(folder: Path, outputs: int = 2) -> tuple[Path, torch.nn.Module]:
    base = load_base(_language_model(folder / "base"), "chunks", outputs=outputs)
    base.model.save_pretrained(folder / "out")
    base.tokenizer.save_pretrained(folder / "out")
    return folder / "out", base.model.score.eval()


def test_heads_read_the_last_state_and_are_the_same_in_every_batch(tmp_path: Path) -> None:
    path, head = _written(tmp_path)
    beginning = tuple(7 + one % 150 for one in range(80))
    items = [Encoded((8, 9, 10)), *(Encoded((*beginning, *range(20, end)), shared=80) for end in (21, 40, 90))]
    decoder = AutoModel.from_pretrained(path).eval()
    with torch.inference_mode():
        wanted = [head(decoder(torch.tensor([one.ids])).last_hidden_state[0, -1]).tolist() for one in items]
    forward = Forward(load_classifier(path, device="cpu", dtype="float32"), prefix_bytes=1 << 20)
    together = [one.values for one in forward.run(items)]
    assert forward.splits
    for values, expected in zip(together, wanted, strict=True):
        assert values == pytest.approx(expected, abs=1e-6)
    forward.forget()
    assert [forward.run([one])[0].values for one in reversed(items)] == together[::-1]


def test_what_cannot_carry_such_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusableError, match="reads from left to right; use pooling 'mean'"):
        load_base(tiny.bert(tmp_path / "bert"), "chunks")
    path, _ = _written(tmp_path)
    file = path / "head.safetensors"
    weights = load_file(file)
    save_file({name: one for name, one in weights.items() if "query" not in name}, file)
    with pytest.raises(ModelUnusableError, match=r"head\.safetensors.*train it again"):
        load_classifier(path, device="cpu", dtype="float32")
    weights["each.0.query"].fill_(math.nan)
    save_file(weights, file)
    with pytest.raises(ModelUnusableError, match=r"each\.0\.query holds values that are not finite"):
        load_classifier(path, device="cpu", dtype="float32")


async def test_ratings_train_an_objective_each_and_are_served_as_probabilities(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "prompt": f"w{one}",
            "response": f"w{100 + one % 2} w{110 + one % 3 // 2}",
            "ratings": {"effort": one % 2, "evidence": one % 3 // 2},
        }
        for one in range(10, 70)
    ]
    file, out = tmp_path / "rows.jsonl", tmp_path / "out"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    base = _language_model(tmp_path / "base")
    given = ["train", "preference", str(file), "--base", str(base), "-o", str(out), "--freeze", "--pooling", "chunks"]
    assert command([*given, "--epochs", "20", "--learning-rate", "0.003", "--threads", "1"]) == 0, capsys.readouterr()
    report = json.loads((out / "report.json").read_text())
    for name in ("effort", "evidence"):
        found = report["heads"][name]["ratings"]
        assert found["loss"] < found["loss_of_mean"] - 0.1
    settings = tomllib.loads((out / "server.toml").read_text())["verifiers"]["preference"]
    async with bench(bind(declared(Preference), {**settings, "threads": 1})) as running:
        options = {"scale": "probabilities"}
        scores = {}
        for text in ("w101 w111", "w100 w110", "w101 w110"):
            scores[text] = (await running.verdict("preference", rollout(text, prompt="w5"), options)).score
        alone = await running.verdict(
            "preference", rollout("w101 w110", prompt="w5"), {**options, "weights": {"effort": 1.0}}
        )
    assert scores["w101 w111"] > scores["w101 w110"] > scores["w100 w110"]
    assert alone.score > scores["w101 w110"]
