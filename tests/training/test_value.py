"""Value models: a Gaussian process by hand, training on outcomes, serving, and the methods that read them."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModel

from reward_servers.cli import run as command
from reward_servers.core import StartupError, bind
from reward_servers.engines.models import load_encoder
from reward_servers.engines.preference import ValueModel, ValueParameters, expect, take_in, write_value
from reward_servers.training import RowsError, read_outcomes
from reward_servers.verifiers.models.value import Value
from tests.engines.models import tiny
from tests.typed import declared
from tests.verifiers.harness import bench, evidence, rollout

torch.set_num_threads(1)


def _parameters(width: int = 3) -> ValueParameters:
    one = torch.tensor(0.5, dtype=torch.float64)
    weights = torch.arange(1.0, width + 1, dtype=torch.float64)
    return ValueParameters(weights, one * 0.2, one.log(), (one * 0.8).log(), (one * 6).log())


def test_the_expected_outcome_is_that_of_a_gaussian_process_over_log_odds() -> None:
    parameters = _parameters()
    draw = torch.Generator().manual_seed(0)
    places = torch.nn.functional.normalize(torch.randn(6, 3, generator=draw, dtype=torch.float64), dim=-1)
    known, asked = places[:4], places[4:]
    outcomes = torch.tensor([1.0, 0.0, 1.0, 0.5], dtype=torch.float64)
    mean, deviation = expect(parameters, asked, take_in(parameters, known, outcomes))

    def likeness(a: Any, b: Any) -> Any:
        return 0.25 + 0.16 * np.exp(3.0 * (a @ b.T - 1.0))

    def squashed(x: Any) -> Any:
        return 1 / (1 + np.exp(-x))

    x, q, y = known.numpy(), asked.numpy(), outcomes.numpy()
    prior, of_asked = (some @ np.array([1.0, 2.0, 3.0]) + 0.1 for some in (x, q))
    # The most probable errors of the prior, by small steps uphill.
    errors = np.zeros(4)
    for _ in range(20000):
        errors += 0.01 * (likeness(x, x) @ (y - squashed(prior + errors)) - errors)
    chance = squashed(prior + errors)
    inverse = np.linalg.inv(likeness(x, x) + np.diag(1 / (chance * (1 - chance))))
    variance = 0.41 - np.einsum("qn,nm,qm->q", likeness(q, x), inverse, likeness(q, x))
    log_odds = of_asked + likeness(q, x) @ np.linalg.inv(likeness(x, x)) @ errors
    wanted = squashed(log_odds / np.sqrt(1 + math.pi * variance / 8))
    assert mean.numpy() == pytest.approx(wanted, abs=1e-6)
    assert deviation.numpy() == pytest.approx(wanted * (1 - wanted) * np.sqrt(variance), abs=1e-6)
    alone, wide = expect(parameters, asked, None)
    assert alone.numpy() == pytest.approx(squashed(of_asked / math.sqrt(1 + math.pi * 0.41 / 8)))
    assert (wide / (alone * (1 - alone)) > deviation / (mean * (1 - mean))).all()


def test_what_a_history_teaches_has_the_gradient_of_what_it_says() -> None:
    draw = torch.Generator().manual_seed(0)
    places = torch.nn.functional.normalize(torch.randn(6, 3, generator=draw, dtype=torch.float64), dim=-1)
    outcomes = torch.tensor([1.0, 0.0, 1.0, 0.5], dtype=torch.float64)

    def said(*values: torch.Tensor) -> torch.Tensor:
        parameters = ValueParameters(*values)
        return expect(parameters, places[4:], take_in(parameters, places[:4], outcomes))[0]

    torch.autograd.gradcheck(said, [one.clone().requires_grad_() for one in _parameters()])


def _outcomes(policies: int, count: int, seed: int, apart: float = 1.5) -> list[dict[str, Any]]:
    """Prompts of the words w0 to w99 are mostly solved, those of w100 to w199 are not; policies differ."""
    draw = random.Random(seed)
    rows = []
    for policy in range(policies):
        skill = draw.uniform(-1.5, 1.5)
        for _ in range(count):
            hard = draw.random() < 0.5
            words = [f"w{draw.randrange(100, 200) if hard else draw.randrange(100)}" for _ in range(4)]
            chance = 1 / (1 + math.exp(-(skill + (-apart if hard else apart))))
            rows.append({"prompt": " ".join(words), "outcome": draw.random() < chance, "policy": f"p{policy}"})
    return rows


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def test_outcomes_teach_what_the_present_policy_solves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = _written(tmp_path / "outcomes.jsonl", _outcomes(12, 80, seed=1))
    held = _written(tmp_path / "held.jsonl", _outcomes(6, 80, seed=2))
    base, out = tiny.bert(tmp_path / "base"), tmp_path / "out"
    given = ["train", "value", str(file), "--base", str(base), "-o", str(out), "--held-out", str(held), "--epochs", "8"]
    assert command([*given, "--threads", "1"]) == 0
    assert "loss of rate" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    # Better than the policy's rate alone, and than the prompt alone.
    assert report["loss"] < report["loss_of_rate"] - 0.01
    assert report["loss"] < report["loss_of_prior"] - 0.01
    assert report["ranked"] > 0.6
    assert report["reads_prompts"]
    history = [{"prompt": f"w{one} w{one + 1}", "outcome": 1} for one in range(20)]
    lost = [{**one, "outcome": 0} for one in history]
    async with bench(bind(declared(Value), {"path": str(out), "threads": 1})) as running:
        plain = await running.verdict("value", rollout("", prompt="w1 w2"))
        good = await running.verdict("value", rollout("x", {"history": history, "answer": 3}, prompt="w1 w2"))
        bad = await running.verdict("value", rollout("", {"history": lost}, prompt="w1 w2"))
        long = await running.verdict("value", rollout("", prompt="w1 " * 5000))
        wrong = await running.fault("value", rollout("", {"history": [{"prompt": "w1", "outcome": 2}]}))
    assert bad.score < plain.score < good.score
    assert dict(plain.aspects)["prior"] == plain.score
    assert dict(good.aspects)["prior"] == pytest.approx(plain.score)
    deviations = [dict(one.aspects)["deviation"] for one in (good, plain)]
    assert deviations[0] is not None
    assert deviations[1] is not None
    assert deviations[0] < deviations[1]
    assert evidence(good)["history"] == 20
    assert 0.0 < long.score < 1.0
    assert wrong.party.value == "dataset"
    encoder = load_encoder(out, device="cpu", dtype="float32")
    assert encoder.max_length == 256


def test_where_prompts_say_nothing_the_rate_of_the_policy_is_expected(tmp_path: Path) -> None:
    file = _written(tmp_path / "outcomes.jsonl", _outcomes(1, 240, seed=1, apart=0.0))
    out = tmp_path / "out"
    given = ["train", "value", str(file), "--base", str(tiny.bert(tmp_path / "base")), "-o", str(out)]
    assert command([*given, "--threads", "1"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert not report["reads_prompts"]
    assert report["loss"] < report["loss_of_rate"] + 0.03
    tried = report["training"]["loss_by_deviation_of_weights"]
    assert min(tried, key=tried.__getitem__) == "0"


def test_a_history_whose_vectors_are_no_numbers_costs_what_rests_on_it_alone(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path)
    model = AutoModel.from_pretrained(path)
    with torch.no_grad():
        model.get_input_embeddings().weight[len(tiny.SPECIAL) + 150] = math.nan
    model.save_pretrained(path)
    write_value(_parameters(32), path)
    values = ValueModel(path, 64, device="cpu", dtype="float32", threads=1)
    before = values.value("w1", [("w2", 1.0)])
    mean, deviation, prior = values.value("w1", [("w2", 1.0), ("w150", 0.0)])
    assert math.isnan(mean)
    assert math.isnan(deviation)
    assert prior == before[2]
    assert math.isnan(values.value("w150", [])[0])
    assert values.value("w1", [("w2", 1.0)]) == before
    assert all(map(math.isfinite, before))


async def test_a_directory_without_a_trained_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"no value.safetensors; train it with: assay train value"):
        async with bench(bind(declared(Value), {"path": str(tiny.bert(tmp_path))})):
            pass


async def test_parameters_of_another_form_are_refused(tmp_path: Path) -> None:
    path = tiny.bert(tmp_path / "model")
    one = torch.zeros((), dtype=torch.float64)
    names = ("offset", "shared", "own", "sharpness")
    save_file({"weights": torch.zeros(32), **{name: one.clone() for name in names}}, path / "value.safetensors")
    with pytest.raises(StartupError, match="it holds no skill; train it again"):
        async with bench(bind(declared(Value), {"path": str(path)})):
            pass


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"outcome": 1}', "prompt: is missing"),
        ('{"prompt": "a"}', "outcome: is missing"),
        ('{"prompt": "a", "outcome": 1.5}', "outcome: 1.5 is not a number from 0 to 1"),
        ('{"prompt": "a", "outcome": 1, "policy": []}', "policy: .* is not a name"),
    ],
)
def test_lines_that_are_no_outcomes_are_named(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "o.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(RowsError, match=says):
        read_outcomes(file)
