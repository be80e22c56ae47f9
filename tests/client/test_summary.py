"""A batch in figures, and as text."""

from __future__ import annotations

import json

from trainer_client import Recipe, RewardClient, Rollout
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
    assert lines[0].split("  ")[0] == "reward"
    assert lines[1].split()[:5] == ["right", "one", "3/4", f"{2.5 / 3:.4f}", f"{right.std:.4f}"]
    assert lines[2].split()[:4] == ["polite", "two@1", "1/1", "1.0000"]
    assert lines[3].split()[:4] == ["never", "two", "0/0", "-"]
    assert lines[4:7] == [
        "right  verdicts: accepted 2, partly 1; faults: dataset/lost 1",
        "polite  verdicts: accepted 1",
        "never  not asked of any rollout",
    ]
    assert lines[7].startswith("4 rollouts in 2 groups, 1 degenerate; 3 with a reward, mean ")
    assert len(lines) == 8
