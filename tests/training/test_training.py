"""Training of preference models: from a file of pairs to a server."""

from __future__ import annotations

import json
import math
import random
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from reward_servers.cli import run as command
from reward_servers.core import Verdict, bind
from reward_servers.engines.models import load_classifier
from reward_servers.training import (
    Objective,
    PreferencePair,
    RowsError,
    Run,
    TrainingError,
    read_pairs,
    report_on,
    split_by_prompt,
    train_preference,
)
from reward_servers.training._examples import Rows
from reward_servers.training._frozen import denoise
from reward_servers.training._pairs import drawn_by_lot
from reward_servers.training._plot import plot
from reward_servers.verifiers.preference import Preference
from tests.engines.models import architectures, tiny
from tests.typed import declared
from tests.verifiers.harness import bench, rollout

torch.set_num_threads(1)


def _pairs(count: int, seed: int = 0) -> list[PreferencePair]:
    """Good responses consist of the words w0 to w49, bad ones of w50 to w99."""
    draw = random.Random(seed)

    def words(low: int, high: int) -> str:
        return " ".join(f"w{draw.randrange(low, high)}" for _ in range(draw.randrange(2, 6)))

    pairs = []
    for number in range(count):
        prompt = (("user", f"w{100 + number} w{number % 90 + 100}"),)
        pairs.append(PreferencePair(prompt, (("assistant", words(0, 50)),), (("assistant", words(50, 100)),)))
    return pairs


def _lines(path: Path, pairs: list[PreferencePair]) -> Path:
    rows = [{"prompt": p.prompt[0][1], "chosen": p.chosen[0][1], "rejected": p.rejected[0][1]} for p in pairs]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


SMALL: dict[str, Any] = {"epochs": 6, "learning_rate": 5e-3, "batch_size": 8, "max_length": 64}


def _roberta(path: Path) -> Path:
    return architectures.make("roberta", path)


@pytest.mark.parametrize("make", [_roberta, tiny.bert])
def test_a_frozen_backbone_is_left_as_it_is(tmp_path: Path, make: Any) -> None:
    pairs = [*_pairs(20), *_pairs(20)]
    run = Run(make(tmp_path / "base"), freeze=True, **{**SMALL, "epochs": 2})
    train_preference(pairs, run, tmp_path / "out")
    before, after = (load_classifier(tmp_path / one, device="cpu", dtype="float32").model for one in ("base", "out"))
    first, second = before.state_dict(), after.state_dict()
    changed = {name.split(".")[0] for name, value in first.items() if not torch.equal(value, second[name])}
    assert changed == {"classifier"}


def test_a_head_on_averages_learns_and_is_served(tmp_path: Path) -> None:
    options = {**SMALL, "epochs": 60, "learning_rate": 0.05}
    run = Run(tiny.bert(tmp_path / "base"), freeze=True, pooling="mean", **options)
    report = train_preference(_pairs(90), run, tmp_path / "out").only
    assert report.accuracy > 0.9


@pytest.mark.parametrize("action", ["soft", "flip", "drop"])
def test_an_ensemble_finds_the_labels_that_are_wrong(action: Any) -> None:
    draw = torch.Generator().manual_seed(3)
    good, bad = torch.randn(120, 8, generator=draw) + 0.7, torch.randn(120, 8, generator=draw) - 0.7
    features, places = torch.cat([good, bad]), torch.arange(240).view(2, 120).T
    wrong = torch.zeros(120, dtype=torch.bool)
    wrong[::5] = True
    pairs = torch.where(wrong[:, None], places.flip(1), places)
    rows = Rows.of_pairs(pairs, torch.zeros(120), torch.ones(120))
    run = Run(Path(), freeze=True, epochs=20, learning_rate=0.05, denoise=action, ensemble=3)
    found = denoise(torch.nn.Linear(8, 1), features, rows, run)
    assert found.report["doubted"] == pytest.approx(0.2, abs=0.05)
    if action == "drop":
        assert len(found.rows.points) == found.report["kept_pairs"] == pytest.approx(96, abs=6)
        assert (found.rows.points[:, 0] < found.rows.points[:, 1]).float().mean() > 0.93
    elif action == "flip":
        assert (found.rows.points[:, 0] < found.rows.points[:, 1]).float().mean() > 0.93
    else:
        assert torch.equal(found.rows.points, pairs)
        assert found.rows.labels[wrong].mean() < 0.92 < found.rows.labels[~wrong].mean()


def test_pairs_are_denoised_before_training_and_the_report_says_what_was_found(tmp_path: Path) -> None:
    pairs = _pairs(60)
    noisy = [pair.turned() if place % 5 == 0 else pair for place, pair in enumerate(pairs)]
    options = {**SMALL, "epochs": 40, "learning_rate": 0.05}
    run = Run(tiny.bert(tmp_path / "base"), freeze=True, pooling="mean", denoise="flip", ensemble=3, **options)
    train_preference(noisy, run, tmp_path / "out", held_out=_pairs(20, seed=3))
    said = json.loads((tmp_path / "out" / "report.json").read_text())["training"]
    assert 0.05 < said["doubted"] < 0.45
    with pytest.raises(TrainingError, match="freeze the backbone"):
        train_preference(noisy, replace(run, freeze=False), tmp_path / "no", held_out=_pairs(20, seed=3))


@pytest.mark.parametrize("make", [tiny.bert, tiny.llama])
@pytest.mark.parametrize("freeze", [False, True])
def test_training_finds_what_good_responses_have_in_common(tmp_path: Path, make: Any, freeze: bool) -> None:
    options = {**SMALL, "epochs": 60, "learning_rate": 0.05} if freeze else SMALL
    run = Run(make(tmp_path / "base"), freeze=freeze, **options)
    report = train_preference(_pairs(90), run, tmp_path / "out").only
    assert report.pairs == 18
    # Words that training never met leave the small head of a random backbone some mistakes.
    assert report.accuracy > (0.7 if freeze else 0.9)


async def test_what_was_trained_is_served_as_it_is(tmp_path: Path) -> None:
    train_preference(_pairs(60), Run(tiny.bert(tmp_path / "base"), **SMALL), tmp_path / "out")
    settings = tomllib.loads((tmp_path / "out" / "server.toml").read_text())["verifiers"]["preference"]
    assert len(settings["golden"]) == 1
    async with bench(bind(declared(Preference), settings)) as running:
        good, bad = await running.outcomes(
            "preference", [rollout("w1 w2 w3", prompt="w100"), rollout("w51 w52 w53", prompt="w100", rollout_id="b")]
        )
    assert isinstance(good, Verdict)
    assert isinstance(bad, Verdict)
    assert good.score > bad.score


def test_training_with_the_same_seed_gives_the_same_model_and_labels_by_lot_teach_nothing(tmp_path: Path) -> None:
    base = tiny.bert(tmp_path / "base")
    run = Run(base, **SMALL)
    first = train_preference(_pairs(60), run, tmp_path / "a")
    assert train_preference(_pairs(60), run, tmp_path / "b") == first
    control = Run(base, shuffle_labels=True, **SMALL)
    assert train_preference(_pairs(60), control, tmp_path / "c", held_out=_pairs(60, seed=9)).only.accuracy < 0.9


def test_of_the_pairs_of_a_head_one_half_is_turned_by_lot() -> None:
    rows = [replace(one, head="ab"[place % 3 == 0]) for place, one in enumerate(_pairs(60))]
    drawn = drawn_by_lot(rows, 3)
    for head in "ab":
        turned = [one == row.turned() for row, one in zip(rows, drawn, strict=True) if row.head == head]
        assert sum(turned) == len(turned) // 2
    assert drawn != drawn_by_lot(rows, 4)


def test_the_objective_is_the_published_loss() -> None:
    chosen, rejected = torch.tensor([1.5, -0.5]), torch.tensor([0.5, 0.25])
    margins, labels = torch.tensor([0.2, 0.0]), torch.tensor([1.0, 1.0])
    plain = Objective(centre=0.0)(chosen, rejected, margins, labels)
    assert plain.item() == pytest.approx((math.log1p(math.exp(-0.8)) + math.log1p(math.exp(0.75))) / 2)
    smooth = Objective(label_smoothing=0.1, centre=0.0)(chosen, rejected, torch.zeros(2), labels)
    hand = [0.9 * math.log1p(math.exp(-gap)) + 0.1 * math.log1p(math.exp(gap)) for gap in (1.0, -0.75)]
    assert smooth.item() == pytest.approx(sum(hand) / 2)
    robust = Objective("robust", flip_rate=0.2, centre=0.0)(chosen, rejected, margins, labels)
    hand = [(0.8 * math.log1p(math.exp(-gap)) - 0.2 * math.log1p(math.exp(gap))) / 0.6 for gap in (1.0, -0.75)]
    assert robust.item() == pytest.approx(sum(hand) / 2)
    centred = Objective(centre=0.5)(chosen, rejected, margins, labels)
    assert centred.item() == pytest.approx(plain.item() + 0.5 * (4.0 + 0.0625) / 2)
    with pytest.raises(ValueError, match="flip_rate: is for objective 'robust'"):
        Objective(flip_rate=0.1)


def test_the_robust_objective_is_unbiased_under_the_noise_that_it_is_told() -> None:
    chosen, rejected = torch.randn(64, generator=torch.Generator().manual_seed(1)).chunk(2)
    zero, sure = torch.zeros(32), torch.ones(32)
    clean = Objective(centre=0.0)(chosen, rejected, zero, sure)
    robust = Objective("robust", flip_rate=0.3, centre=0.0)
    expected = 0.7 * robust(chosen, rejected, zero, sure) + 0.3 * robust(rejected, chosen, zero, sure)
    assert expected.item() == pytest.approx(clean.item(), rel=1e-5)


def test_the_report_by_hand() -> None:
    report = report_on([2.0, 1.0, 0.0, 3.0], [1.0, 1.0, 1.0, 0.0], [5, 1, -2, -1])
    assert (report.pairs, report.ties, report.accuracy) == (4, 1, 2.5 / 4)
    assert report.mean == pytest.approx(9 / 8)
    assert (report.accuracy_when_chosen_is_longer, report.accuracy_when_chosen_is_shorter) == (0.75, 0.5)
    assert report.interval[0] < report.accuracy < report.interval[1]
    assert sum(band.pairs for band in report.bands) == 4
    with pytest.raises(ValueError, match="hold some out"):
        report_on([], [], [])


def test_the_report_is_drawn() -> None:
    report = report_on([2.0, 1.0, 0.0, 3.0], [1.0, 1.0, 1.0, 0.0], [5, 1, 2, 1])
    root = ElementTree.fromstring(plot({"logit": report}))
    kind = "{http://www.w3.org/2000/svg}"
    # Four bands and the longer side; there is no pair whose chosen response is shorter.
    bars = [one.find(f"{kind}title") for one in root.iter(f"{kind}rect")]
    assert sum(one is not None for one in bars) == 5
    assert "4 held-out pairs: accuracy 0.625" in "".join(root.itertext())
    points = [str(one.findtext(f"{kind}title")) for one in root.iter(f"{kind}circle")]
    assert points[0] == "1 pairs: confidence 0.500, right 0.500"
    assert points[-1] == "1 pairs: confidence 0.953, right 1.000"
    assert len(points) == 4


def test_scores_that_are_too_far_apart_ask_for_a_higher_temperature() -> None:
    draw = random.Random(5)
    gaps = [draw.gauss(1.0, 1.0) for _ in range(2000)]
    right = [gap if draw.random() < 1 / (1 + math.exp(-abs(gap))) else -gap for gap in map(abs, gaps)]
    honest = report_on(right, [0.0] * len(right), [1] * len(right))
    loud = report_on([8 * gap for gap in right], [0.0] * len(right), [1] * len(right))
    assert honest.temperature == pytest.approx(1.0, rel=0.25)
    assert loud.temperature == pytest.approx(8.0, rel=0.25)
    assert loud.calibration_error > 3 * honest.calibration_error


def test_where_every_pair_is_right_the_temperature_leaves_some_doubt() -> None:
    report = report_on([3.0, 4.0, 5.0] * 10, [0.0] * 30, [1] * 30)
    sure = [1 / (1 + math.exp(-gap / report.temperature)) for gap in (3.0, 4.0, 5.0)]
    assert sum(sure) / 3 == pytest.approx(31 / 32, abs=0.01)


def test_files_of_pairs(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    chat = [{"role": "user", "content": "hi"}]
    answer = [{"role": "assistant", "content": "hello"}]
    other = [{"role": "assistant", "content": "go away"}]
    rows = [
        {"prompt": "hi", "chosen": "hello", "rejected": "go away", "margin": 0.5, "label": 0.9},
        {"prompt": chat, "chosen": answer, "rejected": other},
        {"chosen": chat + answer, "rejected": chat + other},
        {"prompt": chat, "chosen": chat + answer, "rejected": chat + other},
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    first, *same = read_pairs(file)
    assert (first.margin, first.label) == (0.5, 0.9)
    assert {(pair.prompt, pair.chosen, pair.rejected) for pair in [first, *same]} == {
        ((("user", "hi"),), (("assistant", "hello"),), (("assistant", "go away"),))
    }


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "pairs.jsonl:1: "),
        ("[]", "1: a line is an object"),
        ('{"prompt": "a", "response": "b"}', "1: chosen: is missing; the line has prompt, response"),
        ('{"prompt": "a", "chosen": 3, "rejected": "b"}', "chosen: is neither a text nor a list of messages"),
        ('{"prompt": "a", "chosen": [{"role": "x"}], "rejected": "b"}', "chosen: a message has a role and a content"),
        ('{"prompt": "a", "chosen": "c", "rejected": "b", "label": 2}', "label: 2 is not a number from 0 to 1"),
        ('{"prompt": "a", "chosen": "c", "rejected": "b", "margin": true}', "margin: True is not a number"),
        ("", "is empty; a line holds prompt, chosen and rejected"),
    ],
)
def test_lines_that_cannot_be_used_are_named(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(RowsError, match=says):
        read_pairs(file)


def test_no_prompt_is_on_both_sides_of_a_split() -> None:
    pairs = [pair for pair in _pairs(40) for _ in range(3)]
    training, held = split_by_prompt(pairs, 0.25, seed=1)
    assert len(held) == 30
    assert not {pair.prompt for pair in training} & {pair.prompt for pair in held}
    assert split_by_prompt(pairs, 0.25, seed=1) == (training, held)


def test_the_command_trains_and_says_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, base, out = _lines(tmp_path / "p.jsonl", _pairs(40)), tiny.bert(tmp_path / "base"), tmp_path / "out"
    given = ["train", "preference", str(file), "--base", str(base), "-o", str(out), "--epochs", "2"]
    assert command(given) == 0
    said = capsys.readouterr().out
    assert "held-out pairs        8" in said
    assert f"--config {out / 'server.toml'}" in said
    assert json.loads((out / "report.json").read_text())["training"]["rows"] == 32
    assert (out / "report.svg").read_text().startswith("<svg")
    assert command(given) == 2
    assert "is not empty" in capsys.readouterr().err
    assert command([*given[:5], "-o", str(tmp_path / "x"), "--objective", "magic"]) == 2
    assert "not one of bradley_terry, robust" in capsys.readouterr().err


def test_pairs_that_do_not_fit_are_counted_and_all_of_them_are_an_error(tmp_path: Path) -> None:
    long = PreferencePair((("user", "w1"),), (("assistant", " ".join(["w1"] * 100)),), (("assistant", "w2"),))
    run = Run(tiny.bert(tmp_path / "base"), **{**SMALL, "epochs": 1})
    train_preference([*_pairs(20), long], run, tmp_path / "out", held_out=_pairs(5, seed=3))
    assert json.loads((tmp_path / "out" / "report.json").read_text())["training"]["left_out"] == 1
    with pytest.raises(TrainingError, match="all 1 rows are longer than 64 tokens; raise max_length"):
        train_preference([long], run, tmp_path / "none", held_out=_pairs(5))
    with pytest.raises(TrainingError, match="both are needed"):
        train_preference([long], run, tmp_path / "none")


def test_a_pair_whose_label_speaks_for_the_other_response_is_reported_as_that(tmp_path: Path) -> None:
    run = Run(tiny.bert(tmp_path / "base"), **{**SMALL, "epochs": 1}, freeze=True)
    held = _pairs(8, seed=3)
    turned = [replace(one.turned(), label=0.25) for one in held]
    neither = [replace(one, label=0.5) for one in _pairs(4, seed=4)]
    found = [
        train_preference(_pairs(20), run, tmp_path / str(place), held_out=rows).only
        for place, rows in enumerate((held, [*turned, *neither]))
    ]
    assert found[0].pairs == found[1].pairs == 8
    assert found[0].accuracy == found[1].accuracy
    assert found[0].mean == pytest.approx(found[1].mean)
    with pytest.raises(TrainingError, match=r"held-out rows have label 0\.5, which prefers neither"):
        train_preference(_pairs(20), run, tmp_path / "none", held_out=neither)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"epochs": math.inf}, "epochs: inf must be a number greater than 0"),
        ({"learning_rate": math.nan}, "learning_rate: nan must be"),
        ({"batch_size": 0}, "batch_size: 0 must be"),
        ({"seed": -1}, "seed: -1 must lie between 0 and 2147483648"),
        ({"threads": -1}, "threads: -1 must lie between"),
    ],
)
def test_settings_that_no_run_can_have_are_refused_by_name(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Run(Path("base"), **setting)
    with pytest.raises(ValueError, match="centre: nan must be a number"):
        Objective(centre=math.nan)
