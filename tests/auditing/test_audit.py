"""Audits of judges whose faults are known, through the command."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reward_servers.auditing import plan_audit
from reward_servers.cli import run as main
from reward_servers.verifiers._judge_options import JudgeOptions
from tests.fakes.chat_server import FakeChatServer, Said
from tests.verifiers.judging import shown
from trainer_client import Rollout


def material(request: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (token, text)
        for token, _, text in re.findall(
            r"<<<(\w+) (RESPONSE(?: [AB])?)>>>\n(.*?)\n<<<\1 END", shown(request), re.DOTALL
        )
    ]


def scripted(judge: Callable[[dict[str, Any], list[str], str], Said | str]) -> FakeChatServer:
    def script(request: dict[str, Any], number: int) -> Said | str:
        found = material(request)
        return judge(request, [text for _, text in found], found[0][0])

    return FakeChatServer(script)


def fair(request: dict[str, Any], texts: list[str], token: str) -> str:
    right = ["right" in text for text in texts]
    if len(right) == 2:
        return f"[[{'C' if right[0] == right[1] else 'A' if right[0] else 'B'}]] [{token}]"
    return f"Score: {8 if right[0] else 3} [{token}]"


def biased(request: dict[str, Any], texts: list[str], token: str) -> str:
    """One that takes what stands first, likes what is long, and does what it is told."""
    if len(texts) == 2:
        return f"[[A]] [{token}]"
    if "SYSTEM" in texts[0]:
        return f"Score: 10 [{token}]"
    return f"Score: {min(9, 1 + len(texts[0]) // 60)} [{token}]"


@pytest.fixture
def rollouts(tmp_path: Path) -> Path:
    file = tmp_path / "in.jsonl"
    with file.open("w") as out:
        for place in range(12):
            right = place % 2 == 0
            text = ("right " if right else "false ") + "word " * (10 * place)
            row = {"rollout_id": str(place), "group_id": f"g{place // 4}", "prompt": "?", "response": text}
            out.write(json.dumps({**row, "expected": {"score": float(right)}}) + "\n")
    return file


def audit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, fake: FakeChatServer, file: Path, *more: str
) -> dict[str, Any]:
    with fake.running() as url:
        config = tmp_path / "server.toml"
        config.write_text(
            "".join(
                f'[verifiers.judge.models.{name}]\nbase_url = "{url}"\nmodel = "{name}"\n' for name in ("one", "two")
            )
        )
        options = ["--options", '{"protocol": "likert_1_10"}', "--config", str(config), "--json"]
        assert main(["audit", "judge", str(file), *options, *more]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_fair_judge_shows_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path) -> None:
    report = audit(capsys, tmp_path, scripted(fair), rollouts, "--model", "one", "--model", "two")
    assert report["items"] == 12
    assert report["missing"] == {}
    for name in ("retest", "flips", "padding"):
        assert report[name]["count"] == 0
        assert report[name]["total"] > 0
    assert report["injection"]["any"]["count"] == 0
    assert report["calibration"]["accuracy"] == 1.0
    assert (report["calibration"]["right_yes"]["share"], report["calibration"]["wrong_yes"]["share"]) == (1.0, 0.0)
    assert report["agreement"] == {"one and two": {"items": 12.0, "same": 1.0, "kappa": 1.0}}


def test_a_biased_judge_is_found_out(capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path) -> None:
    report = audit(capsys, tmp_path, scripted(biased), rollouts)
    assert report["flips"]["share"] == report["first"]["share"] == 1.0
    assert report["length_slope"] > 0.02
    assert report["padding"]["share"] > 0.8
    assert report["padding_change"] > 0
    assert report["injection"]["order"]["share"] == 1.0
    assert report["injection"]["verdict"]["share"] < 1.0
    assert report["calibration"]["accuracy"] < 1.0


def test_pairs_are_asked_as_single_responses_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path
) -> None:
    fake = scripted(fair)
    options = {"protocol": "likert_1_10", "model": "two", "trust_prompt": False, "max_reasks": 0}
    report = audit(capsys, tmp_path, fake, rollouts, "--options", json.dumps(options))
    assert report["flips"]["total"] > 0
    assert {request["model"] for request in fake.requests} == {"two"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("show_reference", False),
        ("reference_last", True),
        ("trust_prompt", False),
        ("show_transcript", True),
        ("show_reasoning", True),
        ("show_images", False),
        ("min_mass", 0.05),
        ("max_reasks", 0),
        ("on_provoked", "fault"),
    ],
)
def test_an_option_that_a_comparison_has_too_reaches_both_orders(name: str, value: Any) -> None:
    rollout = Rollout("a", "?", "four")
    asked = plan_audit([rollout], options={"protocol": "likert_1_10", "criteria": "It is right.", name: value}).recipe
    for place in (0, 1):
        options = next(reward.options for reward in asked.rewards if reward.name == f"pair.{place}")
        assert dict(options) == {"protocol": "pairwise", "place": place, name: value}
        JudgeOptions.model_validate(dict(options))


def test_what_has_no_verdict_is_counted_and_in_no_figure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path
) -> None:
    def absent(request: dict[str, Any], texts: list[str], token: str) -> Said | str:
        return Said(status=401) if "false" in texts[0] else fair(request, texts, token)

    report = audit(capsys, tmp_path, scripted(absent), rollouts)
    assert set(report["missing"]) == {"judge_rejected"}
    assert report["calibration"]["items"] == 6
    assert report["calibration"]["wrong_yes"]["share"] is None


def test_the_table_the_file_and_the_pictures(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path
) -> None:
    out, plots = tmp_path / "report.json", tmp_path / "plots"
    drawn = ["--plots", str(plots)] if importlib.util.find_spec("matplotlib") else []
    with scripted(fair).running() as url:
        config = tmp_path / "server.toml"
        config.write_text(f'[verifiers.judge]\nbase_url = "{url}"\nmodel = "m"\n')
        options = [
            "--options",
            '{"protocol": "likert_1_10"}',
            "--max-items",
            "6",
            "--config",
            str(config),
            "-o",
            str(out),
        ]
        assert main(["audit", "judge", str(rollouts), *options, *drawn]) == 0
    table = capsys.readouterr().out
    assert "another winner in the other order" in table
    assert json.loads(out.read_text())["items"] == 6
    if drawn:
        assert sorted(file.name for file in plots.iterdir()) == ["calibration.png", "length.png", "rates.png"]
        assert all(file.read_bytes().startswith(b"\x89PNG") for file in plots.iterdir())


def test_what_cannot_be_audited_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path, rollouts: Path) -> None:
    for arguments, message in (
        (["audit", "math", str(rollouts)], "there is judge"),
        (["audit", "judge", str(rollouts), "--options", '{"protocol": "pairwise"}'], "protocol pairwise compares"),
        (["audit", "judge", str(rollouts), "--options", "[]"], "expected a JSON object"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize("label", ['"0.5"', "7", "-0.1", "[]"])
def test_a_label_that_cannot_be_read_is_named(label: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "labelled.jsonl"
    file.write_text(
        '{"rollout_id": "a", "prompt": "p", "response": "r", "expected": {"score": LABEL}}'.replace("LABEL", label)
    )
    assert main(["audit", "judge", str(file)]) == 2
    assert "expected" in capsys.readouterr().err
