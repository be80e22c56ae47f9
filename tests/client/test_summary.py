"""A batch in figures, and as text."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from trainer_client import Recipe, RewardClient, Rollout
from trainer_client._printable import printable
from trainer_client.result.figures import best_of, correlations, figures_of
from trainer_client.result.grid import Grid
from trainer_client.signals import Groups
from trainer_client.testing import FakeServer, by_response

RECIPE = Recipe.loads("""
max_missing = 1.0
[rewards.right]
verifier = "one"
[rewards.polite]
verifier = "two@1"
tasks = ["chat"]
[rewards.never]
verifier = "two"
tasks = ["law"]
""")


def test_a_summary_counts_and_prints_what_each_reward_got() -> None:
    scripts = ({"score": 1.0}, {"score": 0.5, "code": "partly"}, {"fault": "lost", "party": "dataset"}, {"score": 1.0})
    rollouts = [
        Rollout(f"r{n}", "q", json.dumps(script), group_id=f"g{n // 2}", task="chat" if n == 3 else "math")
        for n, script in enumerate(scripts)
    ]
    with (
        FakeServer({"one": by_response, "two": by_response}) as server,
        RewardClient(RECIPE, server.address) as client,
    ):
        summary = client.score(rollouts).summary()
    right, polite, never = summary.rewards
    assert (right.asked, right.scored, right.codes) == (4, 3, {"accepted": 2, "partly": 1})
    assert (right.faults, right.skips) == ({"dataset/lost": 1}, {})
    assert (polite.asked, polite.scored, never.asked) == (1, 1, 0)
    lines = str(summary).splitlines()
    rows = {line[:18].strip(): line[18:].split() for line in lines[:-3]}
    assert lines[0].split() == ["right", "polite", "never", "=", "reward"]
    assert rows["verifier"] == ["one", "two@1", "two", "-"]
    assert rows["scored"] == ["3/4", "1/1", "0/0", "3/4"]
    assert rows["masked"] == ["-", "-", "-", "1"]
    assert rows["fault dataset/lost"] == ["1", "-", "-", "-"]
    assert rows["verdict accepted"] == ["2", "1", "-", "-"]
    assert rows["mean"] == [f"{2.5 / 3:.4f}", "1.0000", "-", f"{(1 + 0.5 + 2) / 3:.4f}"]
    assert lines[-3].startswith("4 rollouts in 2 groups; 3 with a reward; ")
    assert lines[-2] == (
        "1 of 2 groups differ in their rewards; 1 teach nothing by comparison (one reward, the others missing: 1)"
    )
    assert lines[-1] == "groups with fewer scores than the highest k, which it leaves out: 1"
    assert summary.unlearnable == {"one reward, the others missing": 1}


def test_a_summary_says_why_groups_teach_nothing() -> None:
    responses: dict[str, list[object]] = {
        "all": [1.0, 1.0],
        "none": [0.0, 0.0],
        "alone": [1.0],
        "lost": ["fault", "fault"],
        "good": [1.0, 0.0],
        "idle": [1.0],
    }
    scripts = [
        Rollout(
            f"{group}{n}",
            "q",
            json.dumps({"fault": "lost", "party": "service"} if score == "fault" else {"score": score}),
            group_id=group,
        )
        for group, scores in responses.items()
        for n, score in enumerate(scores)
    ]
    recipe = Recipe.loads('max_missing = 1.0\n[rewards.right]\nverifier = "one"\ntasks = [""]')
    scripts[-1].task = "other"
    with FakeServer({"one": by_response}) as server, RewardClient(recipe, server.address) as client:
        summary = client.score(scripts).summary()
    assert summary.unlearnable == {
        "no reward is asked of them": 1,
        "all scores missing": 1,
        "a single rollout": 1,
        "all rewards 1": 1,
        "all rewards 0": 1,
    }
    assert (summary.degenerate_groups, summary.groups) == (5, 6)


@pytest.mark.parametrize("seed", range(6))
def test_the_best_of_k_is_what_all_subsets_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 7, 5)
    ids = np.repeat(np.arange(5), sizes)
    order = random.permutation(len(ids))
    values = random.integers(0, 2, len(ids)).astype(float) if seed % 2 else random.random(len(ids))
    groups = Groups.of(ids[order])
    for k in range(1, int(sizes.max()) + 1):
        members = [values[order][ids[order] == group] for group in range(5)]
        expected = [np.mean([max(some) for some in combinations(own, k)]) for own in members if len(own) >= k]
        assert best_of(values[order], groups, k) == pytest.approx(np.mean(expected))


def test_figures_keep_spread_within_and_between_prompts_apart() -> None:
    found = figures_of(np.array([1.0, 3.0, 5.0, 7.0, np.nan]), Groups.of(["a", "a", "b", "b", "b"]))
    assert (found.within, found.between, found.mean, found.average) == (1.0, 2.0, 4.0, 4.0)
    assert found.best == {1: 4.0, 2: 5.0}
    assert not found.binary
    assert figures_of(np.array([np.nan]), Groups.of(["a"])).best == {}


def test_correlations_agree_with_the_textbook() -> None:
    stats = pytest.importorskip("scipy.stats", reason="the measure of the correlations is scipy")
    one, other = np.array([1.0, 2.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0, 2.5])
    pearson, spearman = correlations(one, other) or (0.0, 0.0)
    assert pearson == pytest.approx(stats.pearsonr(one, other).statistic)
    assert spearman == pytest.approx(stats.spearmanr(one, other).statistic)
    assert correlations(one, np.ones(4)) is None


def test_a_grid_stays_within_the_width_and_loses_no_column() -> None:
    grid = Grid([f"reward_{n}" for n in range(12)])
    grid.add("mean", [f"0.{n:04}" for n in range(12)])
    grid.add("verdict \x1b]0;title\x07", ["1"] + ["-"] * 11)
    for width in (60, 80, 120):
        text = grid.text(width)
        assert max(map(len, text.splitlines())) <= width
        assert all(f"0.{n:04}" in text and f"reward_{n}" in text for n in range(12))
        assert text.count("verdict") == 1
    assert len(grid.text().splitlines()) == 3
    assert "\x1b" not in text
    assert r"verdict \x1b]0;title\x07" in text


def test_what_would_steer_a_terminal_is_shown() -> None:
    hostile = "a\x1b[2Jb\rc\x9b31md\u202ee\u200bf\ud800g\th\ni"
    assert printable(hostile) == r"a\x1b[2Jb\rc\x9b31md\u202ee\u200bf\ud800g" + "\th\ni"
    assert printable("a\tb\n", line=True) == r"a\tb\n"
    assert printable("ünïcode 数学 🙂") == "ünïcode 数学 🙂"
