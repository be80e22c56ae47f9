"""What a trainer would do without a word, had the adapter not refused it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.adapters.doubles import install_nemo_rl, install_verifiers
from tests.adapters.test_installed import Arguments, Sample
from trainer_client import Document, Recipe, RecipeError, RolloutError
from trainer_client.adapters import atropos, nemo_rl, slime, verifiers, verl
from trainer_client.adapters.trl import reward_function
from trainer_client.adapters.trl_columns import Columns

EXACT = '[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\n'


def run(work: Any) -> Any:
    """Wait for what an adapter gives."""
    return asyncio.run(work)


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


def test_slime_takes_no_mean_over_what_is_left_out(server: str) -> None:
    class Normalising(Arguments):
        advantage_estimator, rewards_normalization = "grpo", True
        custom_reward_post_process_path: str | None = None

    args, sample = Normalising(), Sample("p", "2", 0)
    sample.label = "2"
    with pytest.raises(RecipeError, match="custom-reward-post-process-path"):
        run(slime.custom_rm_of(Recipe.loads(EXACT), server)(args, sample))
    stating = slime.custom_rm_of(Recipe.loads(EXACT), server, on_missing=0.0)
    assert run(stating(args, sample)) == 1.0
    args.custom_reward_post_process_path = "my_rewards.post_process"
    assert run(slime.custom_rm_of(Recipe.loads(EXACT), server)(args, sample)) == 1.0


def test_verls_reward_counts_where_the_last_token_is_not_the_policys(modules: Any) -> None:
    known: dict[str, Callable[..., Any]] = {}

    def register_adv_est(name: str) -> Callable[[Any], Any]:
        return lambda function: known.setdefault(name, function)

    modules("verl.trainer.ppo.core_algos", register_adv_est=register_adv_est)
    verl.register_advantages(["grpo"])
    rewards, mask = torch.zeros(3, 4), torch.ones(3, 4)
    rewards[0, 3], rewards[1, 3], rewards[2, 3] = 1.0, 0.0, float("nan")
    mask[0, 3] = mask[2, 3] = 0.0  # what a tool said
    made, _ = known["assay_grpo"](rewards, mask, index=np.array(["a", "a", "a"]))
    assert made[0, :3].tolist() == [made[0, 0].item()] * 3
    assert made[0, 0] > 0 > made[1, 0]
    assert made[0, 3] == 0.0
    assert made[2].tolist() == [0.0] * 4  # it has no reward, and not 0


@pytest.mark.parametrize("given", ["23", {"a": "2"}])
def test_the_letters_of_a_text_are_no_group(server: str, given: Any) -> None:
    score = atropos.group_scorer(Recipe.loads(EXACT), server)
    with pytest.raises(RolloutError, match=f"expected a list of completions, found {type(given).__name__}"):
        run(score("p", given, "2"))


def test_trl_keeps_no_state_of_a_method(server: str) -> None:
    recipe = Recipe.loads(f'advantage = "running_reward_scale"\n{EXACT}')
    with pytest.raises(RecipeError, match="remembers earlier steps, which TRL's checkpoints do not hold"):
        reward_function(recipe, server, group_size=2)


def test_trl_hands_each_process_a_part_of_the_batch(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe.loads(f'advantage = "grpo_lambda"\n{EXACT}')
    given = {"prompts": ["p"] * 2, "completions": ["2", "3"], "answer": ["2", "2"], "completion_ids": [[1], [1, 2]]}
    ask = reward_function(recipe, server, group_size=2, token_ids=True)
    assert len(run(ask(**given))) == 2
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="TRL hands each of 2 processes a part of it"):
        run(ask(**given))


def columns(**given: Any) -> list[Any]:
    """The rollouts that TRL's columns become."""
    rows = {"prompts": ["p"] * 2, "completions": ["2", "3"], **given}
    return Columns(None, "", None, token_ids=False).rollouts("t", rows)


def test_a_list_in_trls_reference_is_several_answers() -> None:
    assert [one.reference for one in columns(reference=[["2", "two"], None])] == [{"answer": ["2", "two"]}, None]


def test_rows_of_trl_that_were_put_together_have_their_own_columns_answer() -> None:
    found = columns(answer=["2", None], solution=[None, "3"])
    assert [one.reference for one in found] == [{"answer": "2"}, {"answer": "3"}]
    assert [one.reference for one in columns(answer=[None, "3"])] == [None, {"answer": "3"}]


def test_documents_of_trl_are_read_as_data_sets_keep_them() -> None:
    rows = [[{"id": "a", "text": "t", "title": None, "uri": None}], None]
    assert [one.documents for one in columns(documents=rows)] == [[Document("a", "t")], []]
    for wrong in ([{"id": "a", "body": "t"}], "text", [7]):
        with pytest.raises(RolloutError, match="documents: expected objects with id, text, title and uri, found"):
            columns(documents=[wrong, None])
