"""Training of what is no plain pair: lists, ratings, heads, both orders of two responses, steps; a contrastive term."""

from __future__ import annotations

import json
import math
import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

from reward_servers.cli import run as command
from reward_servers.core import Verdict, bind
from reward_servers.engines.models import Encoded, ModelUnusableError
from reward_servers.training import (
    LabelledSteps,
    Objective,
    PreferencePair,
    RatedResponse,
    RowsError,
    Run,
    ScoredList,
    TrainingError,
    read_preferences,
    read_steps,
    report_on,
    train_comparison,
    train_preference,
    train_process,
)
from reward_servers.training._examples import Rows, tabled
from reward_servers.training._fit import _collate
from reward_servers.training._run import _example
from reward_servers.verifiers.models.comparison import Comparison
from reward_servers.verifiers.models.process import Process
from reward_servers.verifiers.preference import Preference
from tests.engines.models import tiny
from tests.typed import declared
from tests.verifiers.harness import bench, rollout

torch.set_num_threads(1)
HEAD: dict[str, Any] = {"freeze": True, "pooling": "mean", "epochs": 40, "learning_rate": 0.05, "max_length": 64}


def _words(draw: random.Random, *parts: tuple[int, int]) -> str:
    return " ".join(f"w{draw.randrange(low, high)}" for low, high in parts for _ in range(3))


def _encoder(path: Path) -> Path:
    """A model without a head."""
    AutoModel.from_pretrained(tiny.bert(path)).save_pretrained(path)
    return path


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _mixed(count: int, seed: int) -> list[dict[str, Any]]:
    """Kind responses have words below 50, true ones words from 100 to 150; each head is told of in its own way."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        kind, true = draw.random() < 0.5, draw.random() < 0.5
        parts = ((0, 50) if kind else (50, 100), (100, 150) if true else (150, 200))
        response = _words(draw, *parts)
        prompt = f"w{number % 200}"
        rows.append({"prompt": prompt, "response": response, "ratings": {"kind": float(kind), "true": float(true)}})
        better, worse = _words(draw, (0, 50), parts[1]), _words(draw, (50, 100), parts[1])
        rows.append({"prompt": prompt, "chosen": better, "rejected": worse, "head": "kind"})
        parts = ((100, 150), (150, 200))
        listed = [_words(draw, (0, 100), part) for part in parts]
        rows.append({"prompt": prompt, "responses": listed, "scores": [7, -2.5], "head": "true"})
    return rows


async def test_rows_of_three_kinds_train_two_heads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = _written(tmp_path / "rows.jsonl", _mixed(40, 1)), tmp_path / "out"
    given = ["train", "preference", str(file), "--base", str(_encoder(tmp_path / "base")), "-o", str(out)]
    given += ["--epochs", "15", "--learning-rate", "0.003", "--batch-size", "8", "--max-length", "64"]
    assert command(given) == 0
    said = capsys.readouterr().out
    assert "head kind" in said
    assert "held-out ratings" in said
    report = json.loads((out / "report.json").read_text())["heads"]
    assert {name: one["pairs"]["accuracy"] > 0.7 for name, one in report.items()} == {"kind": True, "true": True}
    assert all(one["ratings"]["loss"] < one["ratings"]["loss_of_mean"] for one in report.values())
    settings = tomllib.loads((out / "server.toml").read_text())["verifiers"]["preference"]
    assert {name: one["output"] for name, one in settings["heads"].items()} == {"kind": 0, "true": 1}
    async with bench(bind(declared(Preference), settings)) as running:
        texts = {"both": "w1 w2 w101 w102", "kind": "w1 w2 w151 w152", "true": "w51 w52 w101 w102"}
        items = [rollout(text, prompt="w3", rollout_id=name) for name, text in texts.items()]
        options: dict[str, Any] = {"scale": "probabilities"}
        found = await running.outcomes("preference", items, options)
        only = await running.outcomes("preference", items, {**options, "weights": {"true": 2.0}})
        less = await running.fault("preference", items[0], {**options, "weights": {"true": -1.0}})
    assert all(isinstance(one, Verdict) for one in (*found, *only))
    both, kind, true = (one for one in found if isinstance(one, Verdict))
    assert both.score > max(kind.score, true.score)
    chances = [1 / (1 + math.exp(-value)) for _, value in both.aspects if value is not None]
    assert both.score == pytest.approx(sum(chances) / 2)
    without, with_true = (one.score for one in only[1:] if isinstance(one, Verdict))
    assert with_true > without
    assert less.code == "bad_weights"


def test_a_head_without_ratings_is_standardised_and_one_with_them_is_not(tmp_path: Path) -> None:
    pairs = [row for row in _mixed(20, 1) if "ratings" not in row]
    base = tiny.bert(tmp_path / "trained")
    rows = read_preferences(_written(tmp_path / "rows.jsonl", pairs))
    with pytest.raises(
        ModelUnusableError, match=r"classifier.* has another shape than a head of 2 outputs; begin with"
    ):
        train_preference(rows, Run(base), tmp_path / "no")
    base = _encoder(tmp_path / "base")
    train_preference(rows, Run(base, **{**HEAD, "epochs": 2}), tmp_path / "out")
    settings = tomllib.loads((tmp_path / "out" / "server.toml").read_text())["verifiers"]["preference"]
    assert all(one["mean"] != 0.0 and one["weight"] == 0.5 for one in settings["heads"].values())


def test_the_loss_of_rows_by_hand() -> None:
    outputs = torch.tensor([[1.0, 0.0], [0.5, 2.0], [-1.0, 1.0]])
    nan = math.nan
    rows = Rows(
        torch.tensor([0, 1, 2]),
        torch.tensor([[0, 1, 0], [0, 1, 2], [2, 0, 0]]),
        torch.zeros(3),
        torch.ones(3),
        torch.tensor([0, 1, 0]),
        torch.tensor([[nan, nan, nan], [1.0, 3.0, 2.0], [0.25, nan, nan]]),
    )
    pair = math.log1p(math.exp(-0.5))
    order = [2.0, 1.0, 0.0]
    listed = sum(math.log(sum(math.exp(one) for one in order[place:])) - order[place] for place in range(3)) / 2
    rated = math.log1p(math.exp(-1.0)) - 0.25 * -1.0
    found = Objective(centre=0.0).of_rows(rows, outputs)
    assert found.item() == pytest.approx((pair + listed + rated) / 3, rel=1e-5)
    gaps = [math.log1p(math.exp(-gap)) for gap in (2.0, 1.0, 1.0)]
    logistic = Objective(centre=0.0, lists="logistic").of_rows(rows, outputs)
    assert logistic.item() == pytest.approx((pair + sum(gaps) / 3 + rated) / 3, rel=1e-5)
    assert torch.isfinite(Objective(lists="lambda").of_rows(rows, outputs))


def test_equal_sequences_of_a_batch_are_computed_once() -> None:
    turn, other = (("assistant", "w1"),), (("assistant", "w2"),)
    first, second = Encoded((1, 5)), Encoded((1, 6, 7))
    examples = [
        _example(PreferencePair((), turn, other), (first, second), [""]),
        _example(ScoredList((), (other, turn, other), (1.0, 2.0, 3.0)), (second, first, second), [""]),
        _example(RatedResponse((), turn, (("", 0.5),)), (first,), [""]),
    ]
    sequences, points, rows = tabled(examples)
    assert sequences == [first, second]
    assert [one.sequence for one in points] == [0, 1]
    assert rows.points.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
    assert _collate(examples, 0)["input_ids"].shape == (2, 3)


async def test_a_comparison_learns_from_both_orders_and_likes_no_place(tmp_path: Path) -> None:
    draw = random.Random(2)
    rows = [
        {"prompt": f"w{number}", "chosen": _words(draw, (0, 50)), "rejected": _words(draw, (50, 100))}
        for number in range(60)
    ]
    file, out = _written(tmp_path / "pairs.jsonl", rows), tmp_path / "out"
    layout = "{prompt} [SEP] {first} [SEP] {second}"
    given = ["train", "comparison", str(file), "--base", str(tiny.llama(tmp_path / "base", chat=False)), "-o", str(out)]
    given += ["--layout", layout, "--epochs", "12", "--learning-rate", "0.005", "--batch-size", "8"]
    assert command(given) == 0
    report = json.loads((out / "report.json").read_text())["heads"]["logit"]["pairs"]
    assert report["accuracy"] > 0.8
    assert {"accuracy_when_chosen_is_first", "accuracy_when_chosen_is_second"} <= set(report)
    settings = tomllib.loads((out / "server.toml").read_text())["verifiers"]["comparison"]
    assert settings["layout"] == layout
    async with bench(bind(declared(Comparison), settings)) as running:
        good = await running.verdict("comparison", rollout("w1 w2 w3", {"opponent": "w51 w52 w53"}, prompt="w9"))
    assert good.score > 0.5
    with pytest.raises(TrainingError, match=r"layout: needs \{second\} once"):
        train_comparison([], Run(tmp_path), tmp_path / "no", layout="{prompt} {first}")


@pytest.mark.parametrize("freeze", [False, True])
async def test_labels_of_steps_train_what_process_serves(tmp_path: Path, freeze: bool) -> None:
    draw = random.Random(3)
    rows: list[dict[str, Any]] = []
    for number in range(90):
        labels = [draw.random() < 0.6 for _ in range(draw.randrange(2, 5))]
        steps = [_words(draw, (0, 50) if right else (50, 100)) for right in labels]
        rows.append({"prompt": f"w{100 + number % 100}", "steps": steps, "labels": labels})
    file, out = _written(tmp_path / "steps.jsonl", rows), tmp_path / "out"
    given = ["train", "process", str(file), "--base", str(tiny.llama(tmp_path / "base", chat=False)), "-o", str(out)]
    # Without a separator a line break is taken, which this tokenizer has no token for, and then its own token.
    given += ["--batch-size", "8", *(["--freeze", "--held-out", str(file)] if freeze else ["--separator", "[SEP]"])]
    given += ["--epochs", "60" if freeze else "12", "--learning-rate", "0.02" if freeze else "0.005"]
    assert command(given) == 0
    report = json.loads((out / "report.json").read_text())
    # A head alone, on a backbone of random weights, learns little; saying the share of right steps costs 0.67.
    assert report["loss"] < (0.66 if freeze else 0.5)
    settings = tomllib.loads((out / "server.toml").read_text())["verifiers"]["process"]
    assert settings["separator"] == ("<eos>" if freeze else "[SEP]")
    some = rows[:20]
    items = [rollout("\n\n".join(row["steps"]), prompt=row["prompt"], rollout_id=str(n)) for n, row in enumerate(some)]
    async with bench(bind(declared(Process), settings)) as running:
        found = await running.outcomes("process", items)
    said: dict[bool, list[float]] = {True: [], False: []}
    for row, one in zip(some, found, strict=True):
        assert isinstance(one, Verdict)
        for label, step in zip(row["labels"], one.steps, strict=True):
            said[label].append(step.score or 0.0)
    right, wrong = (sum(values) / len(values) for values in (said[True], said[False]))
    assert right > wrong + (0.02 if freeze else 0.4)


def test_a_separator_without_a_token_is_refused_with_another(tmp_path: Path) -> None:
    rows = [LabelledSteps((("user", f"w{one}"),), ("w1",), (1.0,)) for one in range(4)]
    path = tiny.llama(tmp_path / "base", chat=False)
    with pytest.raises(TrainingError, match=r"separator: .*no token for '\\t'; give a separator that it has one for"):
        train_process(rows, Run(path), tmp_path / "out", separator="\t")


def test_a_contrastive_term_tells_pairs_apart(tmp_path: Path) -> None:
    objective = Objective(contrastive=0.5)
    torch.manual_seed(0)
    apart, same = torch.randn(8, 256), torch.ones(8, 256)
    assert objective.of_features(apart).item() < 0.1 < objective.of_features(same).item()
    assert objective.of_features(apart[:1]).item() == 0.0
    draw = random.Random(4)
    pairs = []
    for number in range(40):
        better, worse = ((("assistant", _words(draw, part)),) for part in ((0, 50), (50, 100)))
        pairs.append(PreferencePair((("user", f"w{number}"),), better, worse))
    for make in (tiny.bert, tiny.llama):
        base = make(tmp_path / make.__name__)
        run = Run(base, objective=objective, epochs=6, learning_rate=5e-3, batch_size=8, max_length=64)
        assert train_preference(pairs, run, tmp_path / f"{make.__name__}-out").only.accuracy > 0.7
    with pytest.raises(TrainingError, match="contrastive: shapes the backbone, which is frozen"):
        train_preference(pairs, Run(base, objective=objective, freeze=True), tmp_path / "no")


def test_places_and_calibration_are_reported() -> None:
    draw = random.Random(1)
    gaps = [draw.gauss(1.0, 4.0) for _ in range(400)]
    report = report_on([gap + 1.0 for gap in gaps], [1.0] * 400, [1] * 400, in_places=True)
    assert report.calibration_error_after is not None
    assert report.calibration_error_after < report.calibration_error
    assert report.accuracy_when_chosen_is_first == pytest.approx(sum(gap > -1.0 for gap in gaps) / 400)
    assert report.accuracy_when_chosen_is_second == 0.0
    assert report_on([1.0], [0.0], [1]).accuracy_when_chosen_is_first is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({"responses": ["a"], "scores": [1]}, "responses: is not a list of 2 to 256"),
        ({"responses": ["a", "b"], "scores": [1]}, "scores: is not a list of 2 numbers"),
        ({"responses": ["a", "b"], "scores": [1, True]}, "scores: holds what is not a number"),
        ({"responses": ["a", "b"], "scores": [1, 10**400]}, "scores: holds what is not a number"),
        ({"responses": ["a", "b"], "scores": [2, 2.0]}, "scores: all are the same"),
        ({"ratings": 0.5}, "response: is missing"),
        ({"response": "a", "ratings": {"kind": 7}}, "kind: 7 is not a number from 0 to 1"),
        ({"response": "a", "ratings": {}}, "ratings: is empty"),
        ({"chosen": "a", "rejected": "b", "head": 3}, "head: 3 is not a name"),
    ],
)
def test_rows_that_cannot_be_used_are_named(tmp_path: Path, line: dict[str, Any], says: str) -> None:
    with pytest.raises(RowsError, match=says):
        read_preferences(_written(tmp_path / "rows.jsonl", [{"prompt": "p", **line}]))


def test_files_that_mix_what_cannot_be_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = {"prompt": "p", "chosen": "a", "rejected": "b", "head": "kind"}
    file = _written(tmp_path / "rows.jsonl", [named, {**named, "head": ""}])
    with pytest.raises(RowsError, match="head: row 2 names none, but others name 'kind'"):
        read_preferences(file)
    with pytest.raises(RowsError, match="labels: is not a list of 1 numbers"):
        read_steps(_written(tmp_path / "steps.jsonl", [{"prompt": "p", "steps": ["a"], "labels": []}]))
    given = [
        "train",
        "process",
        str(file),
        "--base",
        str(tmp_path),
        "-o",
        str(tmp_path / "out"),
        "--objective",
        "robust",
    ]
    assert command(given) == 2
    assert "--objective: has no meaning for process; it is for preference, comparison" in capsys.readouterr().err
    assert command([*given[:1], "nothing", *given[2:7]]) == 2
    assert "'nothing' cannot be trained; there are preference, comparison" in capsys.readouterr().err
