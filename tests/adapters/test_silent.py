"""What a trainer would do without a word, had the adapter not refused it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapters.doubles import install_nemo_rl, install_verifiers
from tests.adapters.test_installed import Arguments, Sample
from trainer_client import Recipe, RecipeError
from trainer_client.adapters import nemo_rl, slime, verifiers

EXACT = '[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n'


def states(*texts: str) -> list[dict[str, Any]]:
    return [
        {"prompt": "p", "completion": text, "answer": "2", "trajectory": [{"reward": None, "advantage": None}]}
        for text in texts
    ]


def test_a_rollout_that_is_scored_by_itself_gets_no_advantage_of_a_group_of_one(server: str, modules: Any) -> None:
    install_verifiers(modules)
    made = verifiers.rubric(Recipe.loads(EXACT), server)
    (lone,) = states("2")
    asyncio.run(made.score_rollout(lone))
    assert lone["reward"] == 1.0
    assert "advantage" not in lone  # 0, the mean of itself taken off, would teach nothing
    assert lone["trajectory"] == [{"reward": None, "advantage": None}]
    together = states("2", "3")
    asyncio.run(made.score_group(together))
    assert [one["advantage"] for one in together] == [0.5, -0.5]


@pytest.mark.parametrize("rule", ["required = false", 'on_missing = { "*" = "drop_group" }'])
def test_a_rollout_that_is_scored_by_itself_has_no_siblings(server: str, modules: Any, rule: str) -> None:
    install_verifiers(modules)
    made = verifiers.rubric(Recipe.loads(f"{EXACT}{rule}\n"), server)
    (lone,) = states("2")
    with pytest.raises(RecipeError, match="independent_scoring=False"):
        asyncio.run(made.score_rollout(lone))
    asyncio.run(made.score_group([lone]))
    assert lone["reward"] == 1.0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("weight = 0.5", "rewards.correct.weight: is lost"),
        ("gate = { at_least = 1.0 }", "rewards.correct.gate: closes"),
    ],
)
def test_what_gdpo_would_lose_is_refused(modules: Any, line: str, said: str) -> None:
    install_nemo_rl(modules)
    recipe = Recipe.loads(f"{EXACT}{line}\n")
    with pytest.raises(RecipeError, match=said):
        nemo_rl.environment_of(recipe, "h:1", components=True)
    nemo_rl.environment_of(recipe, "h:1")


def test_samples_of_no_known_group_are_no_group() -> None:
    hook = slime.post_process_of("grpo")
    samples = [Sample("p", "x", 0), Sample("q", "y", 0)]
    for one in samples:
        one.reward, one.group_index = 1.0, None  # type: ignore[assignment]  # the mistake
    with pytest.raises(RecipeError, match="a sample has no group_index"):
        hook(Arguments(), samples)
