"""LoRA adapters: what a model with merged weights gives, switched by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from reward_servers.core import Verdict, bind
from reward_servers.engines.models import Adapters, Encoded, Forward, ModelUnusableError, load_classifier
from reward_servers.verifiers.preference import Preference
from tests.engines.models import tiny
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, rollout

torch.set_num_threads(1)
LAYERS = ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj")


def adapter(path: Path, model: Any, seed: int, **config: Any) -> dict[str, torch.Tensor]:
    """Write an adapter with a head of its own; return the state that a model with it merged has."""
    draw = torch.Generator().manual_seed(seed)
    state, saved = {name: value.clone() for name, value in model.state_dict().items()}, {}
    scale = 16 / (2.0 if config.get("use_rslora") else 4)
    for name in LAYERS:
        weight = state[f"{name}.weight"]
        down = torch.randn(4, weight.shape[1], generator=draw) * 0.1
        up = torch.randn(weight.shape[0], 4, generator=draw) * 0.1
        saved[f"base_model.model.{name}.lora_A.weight"], saved[f"base_model.model.{name}.lora_B.weight"] = down, up
        state[f"{name}.weight"] = weight + scale * up @ down
    state["score.weight"] = torch.randn(state["score.weight"].shape, generator=draw)
    saved["base_model.model.score.weight"] = state["score.weight"]
    path.mkdir()
    save_file(saved, path / "adapter_model.safetensors")
    given = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "bias": "none", **config}
    (path / "adapter_config.json").write_text(json.dumps(given))
    return state


@pytest.mark.parametrize("kernel", ["alone", "packed", "invariant"])
@pytest.mark.parametrize("rslora", [False, True])
def test_outputs_are_those_of_merged_weights_and_the_model_stays_as_it_is(
    tmp_path: Path, kernel: Any, rslora: bool
) -> None:
    path = tiny.llama(tmp_path / "base")
    loaded = load_classifier(path, device="cpu", dtype="float32")
    states = {
        "": loaded.model.state_dict(),
        "a": adapter(tmp_path / "a", loaded.model, 1, use_rslora=rslora),
        "b": adapter(tmp_path / "b", loaded.model, 2, use_rslora=rslora),
    }
    beginning = tuple(range(10, 110))
    rows = [Encoded((*beginning, *range(7, 7 + size)), shared=100) for size in (3, 20)] + [Encoded((8, 9, 30))]
    wanted = {}
    for name, state in states.items():
        merged = AutoModelForSequenceClassification.from_pretrained(path).eval()
        merged.load_state_dict(state)
        merged.config.pad_token_id = None
        with torch.inference_mode():
            wanted[name] = [float(merged(torch.tensor([one.ids])).logits[0, 0]) for one in rows]
    adapters = Adapters(loaded, {"a": tmp_path / "a", "b": tmp_path / "b"})
    forward = Forward(loaded, prefix_bytes=1 << 20, kernel=kernel, batch_tokens=512, adapters=adapters)
    mixed = [(name, place) for place in range(3) for name in ("b", "", "a")]
    found = forward.run([replace(rows[place], adapter=name) for name, place in mixed])
    for (name, place), one in zip(mixed, found, strict=True):
        assert one.values[0] == pytest.approx(wanted[name][place], abs=5e-6, rel=5e-6)
    assert len({round(one.values[0], 4) for one in found}) == 9


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        ("missing", r"adapter_config\.json is missing"),
        ("dora", "only plain LoRA adapters"),
        ("layer", "no linear layer 'model.layers.9.self_attn.q_proj'"),
        ("size", "is of another size here"),
        ("nan", "not finite"),
        ("garbage", "the adapter cannot be loaded"),
        ("nothing", "changes no layer"),
        ("half", "lora_B.weight has no lora_A beside it"),
        ("rank", "is of another rank than the 8 of adapter_config.json"),
        ("no rank", r"adapter_config\.json: r is 0, and a rank is 1 at least"),
        ("no number", "the adapter cannot be loaded"),
    ],
)
def test_adapters_that_cannot_be_used_are_refused(tmp_path: Path, spoil: str, says: str) -> None:
    loaded = load_classifier(tiny.llama(tmp_path / "base"), device="cpu", dtype="float32")
    path = tmp_path / "a"
    config: dict[str, dict[str, Any]] = {
        "dora": {"use_dora": True},
        "rank": {"r": 8},
        "no rank": {"r": 0},
        "no number": {"r": "many"},
    }
    adapter(path, loaded.model, 1, **config.get(spoil, {}))
    file = path / "adapter_model.safetensors"
    key = f"base_model.model.{LAYERS[0]}.lora_A.weight"
    other = key.replace("layers.0", "layers.9")
    if spoil == "missing":
        (path / "adapter_config.json").unlink()
    elif spoil == "layer":
        save_file({other: torch.zeros(4, 32), other.replace("_A", "_B"): torch.zeros(32, 4)}, file)
    elif spoil == "size":
        save_file({key: torch.zeros(4, 31), key.replace("_A", "_B"): torch.zeros(32, 4)}, file)
    elif spoil == "nan":
        save_file({key: torch.full((4, 32), torch.nan)}, file)
    elif spoil == "garbage":
        file.write_bytes(b"garbage")
    elif spoil == "half":
        save_file({name: one for name, one in load_file(file).items() if name != key}, file)
    elif spoil == "nothing":
        save_file({}, file)
    with pytest.raises(ModelUnusableError, match=says):
        Adapters(loaded, {"a": path})


async def test_a_request_names_an_adapter(tmp_path: Path) -> None:
    path = tiny.llama(tmp_path / "base")
    adapter(tmp_path / "kind", load_classifier(path, device="cpu", dtype="float32").model, 1)
    settings = {"path": str(path), "max_length": 64, "adapters": {"kind": str(tmp_path / "kind")}}
    bare = {"path": str(path), "max_length": 64}
    async with bench(bind(declared(Preference), bare)) as running:
        lacking = await running.fault("preference", rollout("w1", prompt="w2"), {"adapter": "kind"})
    async with bench(bind(declared(Preference), settings)) as running:
        plain = await running.verdict("preference", rollout("w1", prompt="w2"))
        found = await running.verdict("preference", rollout("w1", prompt="w2"), {"adapter": "kind"})
        fault = await running.fault("preference", rollout("w1", prompt="w2"), {"adapter": "cruel"})
    assert isinstance(plain, Verdict)
    assert dict(plain.aspects) != dict(found.aspects)
    assert evidence(found)["adapter"] == "kind"
    assert (fault.code, "declared: kind" in fault.message) == ("unknown_adapter", True)
    assert "declared: none; name its directory in [verifiers.preference.adapters]" in lacking.message
