"""The same mistakes in every adapter of single samples and groups: an error that names them, or one item's fault."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.adapters.doubles import (
    DataProto,
    install_nemo_rl,
    install_open_instruct,
    install_roll,
    install_skyrl,
    install_verifiers,
)
from tests.adapters.test_installed import Arguments, Sample
from trainer_client import Recipe, RecipeError, RewardClient, RewardError, RolloutError, ServerUnavailableError
from trainer_client.adapters import (
    areal,
    atropos,
    nemo_rl,
    open_instruct,
    openrlhf,
    roll,
    skyrl,
    slime,
    verifiers,
    verl,
)
from trainer_client.adapters.missing import MissingRewardError

EXACT = '[servers.rules]\nverifiers = ["exact"]\n[rewards.correct]\nverifier = "exact"\ndeadline_s = 10.0\n'
ROUTED = EXACT + 'tasks = ["math"]\n'
Ask = Callable[..., Any]


def run(work: Any) -> Any:
    """Wait for a coroutine."""
    return asyncio.run(work)


Face = Callable[..., Ask]


def _verl(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    score = verl.compute_score_of(recipe, endpoints, **told)

    def ask(response: Any, label: Any, task: str = "") -> Any:
        given = {"data_source": task, "solution_str": response, "ground_truth": label, "extra_info": {"prompt": "p"}}
        return run(score(**given))["score"]

    return ask


def _openrlhf(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    score = openrlhf.reward_function(recipe, endpoints, **told)
    return lambda response, label, task="": score([f"p{response}"], ["p"], [label])["rewards"]


def _slime(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    score = slime.custom_rm_of(recipe, endpoints, **{"on_missing": "error", **told})

    def ask(response: Any, label: Any, task: str = "") -> Any:
        sample = Sample("p", response, 0)
        sample.label, sample.metadata = label, {"task": task}
        return run(score(Arguments(), sample))

    return ask


def _areal(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    score = areal.RecipeReward(recipe, endpoints, **told)
    return lambda response, label, task="": score("p", response, [1], [1], answer=label, task=task)


def _skyrl(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    kind = skyrl.environment_of(recipe, endpoints, **told)

    def ask(response: Any, label: Any, task: str = "") -> Any:
        environment = kind(None, {"reward_spec": {"ground_truth": label}, "data_source": task})
        environment.init("p")
        return environment.step(response).reward

    return ask


def _nemo_rl(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    made = nemo_rl.environment_of(recipe, endpoints, **told)()

    def ask(response: Any, label: Any, task: str = "") -> Any:
        log = [{"role": "user", "content": "p"}, {"role": "assistant", "content": response}]
        return float(made.step([log], [{"ground_truth": label, "task": task}]).rewards[0])

    return ask


def _open_instruct(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    made = open_instruct.verifier_of("assay", recipe, endpoints, **told)()
    return lambda response, label, task="": made([1], response, label, "p").score


def _roll(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    kind = roll.worker_of(recipe, endpoints, **told)

    def ask(response: Any, label: Any, task: str = "") -> Any:
        worker = kind(type("Config", (), {"model_args": None})())
        worker.tokenizer.texts = ["p", response]
        batch = {"prompts": torch.zeros(1, 2, dtype=torch.int), "responses": torch.ones(1, 2, dtype=torch.int)}
        return float(
            worker.compute_rewards(DataProto(batch, {"ground_truth": [label], "domain": [task]})).batch["scores"][0]
        )

    return ask


def _atropos(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    score = atropos.group_scorer(recipe, endpoints, **{"on_missing": "error", **told})
    return lambda response, label, task="": run(score("p", [response], label, task)).scores[0]


def _rubric(recipe: Any, endpoints: Any, **told: Any) -> Ask:
    made = verifiers.rubric(recipe, endpoints, **{"on_missing": "error", **told})

    def ask(response: Any, label: Any, task: str = "") -> Any:
        state = {"prompt": "p", "completion": response, "answer": label, "task": task}
        run(made.score_rollout(state))
        return state["reward"]

    return ask


FACES: dict[str, Face] = {
    "verl": _verl,
    "openrlhf": _openrlhf,
    "slime": _slime,
    "areal": _areal,
    "skyrl": _skyrl,
    "nemo_rl": _nemo_rl,
    "open_instruct": _open_instruct,
    "roll": _roll,
    "atropos": _atropos,
    "verifiers": _rubric,
}
WITHOUT_TASKS = ("openrlhf", "open_instruct")
WITH_PARTS = ("slime", "nemo_rl", "atropos", "verifiers")


class Tokenizer:
    """Gives the text of a row by its first number."""

    texts: tuple[str, str] = ("", "")

    def batch_decode(self, rows: Any, skip_special_tokens: bool) -> list[str]:
        return [self.texts[int(row[0])] for row in rows]


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest, modules: Any) -> tuple[str, Face]:
    install_nemo_rl(modules)
    install_skyrl(modules)
    install_open_instruct(modules)
    install_roll(modules, Tokenizer())
    install_verifiers(modules)
    return request.param, FACES[request.param]


Named = tuple[str, Face]


def test_what_is_right_works(face: Named, server: str) -> None:
    ask = face[1](Recipe.loads(EXACT), server)
    assert (ask("2", "2"), ask("3", "2")) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("recipe", "endpoints", "told", "said"),
    [
        ("none.toml", "h:1", {}, "there is no such file"),
        ({"rewards": {}}, "h:1", {}, "found dict"),
        (EXACT, "nonsense", {}, "is not an address such as"),
        (EXACT, "h:1", {"on_missing": "zero"}, "'zero' is neither 'error', 'none' nor a finite number"),
        (EXACT, "h:1", {"on_missing": float("nan")}, "nan is neither"),
        (EXACT, "h:1", {"max_missing": 20}, "20 is not a share between 0 and 1"),
        ('advantage = "rloo"\n' + EXACT, "h:1", {}, r"advantage: the trainer makes advantages by itself"),
    ],
)
def test_what_is_wrong_before_the_first_call(
    face: Named, tmp_path: Path, recipe: Any, endpoints: str, told: dict[str, Any], said: str
) -> None:
    given = recipe
    if isinstance(recipe, str):
        given = str(tmp_path / recipe) if recipe.endswith(".toml") else Recipe.loads(recipe)
    with pytest.raises(RecipeError, match=said):
        face[1](given, endpoints, **told)


def test_a_server_that_the_endpoints_do_not_name(face: Named, server: str) -> None:
    with pytest.raises(RecipeError, match="the address of server 'rules' is not known"):
        face[1](Recipe.loads(EXACT), {"ruels": server})("2", "2")


def test_a_server_that_is_down_at_the_start(face: Named, unused_tcp_port: int) -> None:
    recipe = Recipe.loads("[client.retries]\nunavailable_timeout_s = 0.5\n" + EXACT)
    with pytest.raises((ServerUnavailableError, MissingRewardError), match=r"127.0.0.1:\d+: .*UNAVAILABLE"):
        face[1](recipe, f"127.0.0.1:{unused_tcp_port}")("2", "2")


async def test_a_group_that_no_server_answers_follows_the_rule(unused_tcp_port: int) -> None:
    recipe = Recipe.loads("[client.retries]\nunavailable_timeout_s = 0.5\n" + EXACT)
    stating = atropos.group_scorer(recipe, f"127.0.0.1:{unused_tcp_port}", on_missing=-1.0, max_missing=1.0)
    group = await stating("2", ["2", "3"], "2")
    assert group is not None
    assert (group.scores, group.valid) == ([-1.0, -1.0], [False, False])


def test_a_task_that_no_reward_is_for(face: Named, server: str) -> None:
    ask = face[1](Recipe.loads(ROUTED), server, on_missing=0.0, max_missing=1.0)
    if face[0] in WITHOUT_TASKS:
        with pytest.raises(RolloutError, match="is for task ''; name it in a reward's `tasks`"):
            ask("2", "2")
        return
    assert ask("2", "2", "math") == 1.0
    with pytest.raises(RolloutError, match="is for task 'code'; name it in a reward's `tasks`"):
        ask("2", "2", "code")


@pytest.mark.parametrize("label", [None, b"2", object(), float("nan")])
def test_a_label_that_cannot_be_used_is_the_fault_of_its_item(face: Named, server: str, label: Any) -> None:
    stated = face[1](Recipe.loads(EXACT), server, on_missing=0.25, max_missing=1.0)
    assert stated("2", label) == 0.25
    assert stated("2", "2") == 1.0
    with pytest.raises(MissingRewardError, match=r"correct: (missing|bad|invalid)_reference"):
        face[1](Recipe.loads(EXACT), server)("2", label)


@pytest.mark.parametrize("response", [None, 7, b"2", [{"type": "text", "text": "2"}], {"role": "assistant"}])
def test_a_response_that_is_no_text(face: Named, server: str, response: Any) -> None:
    ask = face[1](Recipe.loads(EXACT), server, on_missing=0.25, max_missing=1.0)
    try:
        assert ask(response, "2") in (0.0, 0.25, 1.0)
    except RewardError as error:
        assert "response" in str(error) or "completion" in str(error)
    assert ask("2", "2") == 1.0


def test_messages_where_a_trainer_has_them(face: Named, server: str) -> None:
    if face[0] not in WITH_PARTS:
        pytest.skip("hands over texts")
    ask = face[1](Recipe.loads(EXACT), server)
    parts = [{"type": "text", "text": "2"}]
    if face[0] == "nemo_rl":
        assert ask(parts, "2") == 1.0
        with pytest.raises(RolloutError, match="response: holds parts of kind image"):
            ask([{"type": "image", "image": "x"}], "2")
        return
    tools = [
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "name": "f", "content": "it is 3"},
        {"role": "assistant", "content": parts},
    ]
    assert ask(tools, "2") == 1.0


def test_a_client_knows_its_endpoints(face: Named, server: str) -> None:
    if face[0] in ("atropos", "verifiers"):
        pytest.skip("takes an asynchronous client")
    with RewardClient(Recipe.loads(EXACT), server) as client, pytest.raises(RecipeError, match="the client knows"):
        face[1](client, server)


def test_columns_of_different_lengths_and_empty_batches(server: str, modules: Any) -> None:
    install_nemo_rl(modules)
    install_verifiers(modules)
    recipe = Recipe.loads(EXACT)
    with pytest.raises(RolloutError, match="columns differ in length: queries has 2, prompts has 1, labels has 1"):
        openrlhf.reward_function(recipe, server)(["pa", "pb"], ["p"], ["a"])
    assert openrlhf.reward_function(recipe, server)([], [], [])["rewards"] == []
    made = nemo_rl.environment_of(recipe, server)()
    with pytest.raises(RolloutError, match="message_log_batch has 1, metadata has 0"):
        made.step([[{"role": "user", "content": "p"}]], [])
    assert made.step([], []).rewards.shape == (0,)
    assert run(slime.custom_rm_of(recipe, server)(Arguments(), [])) == []
    assert run(atropos.group_scorer(recipe, server)("p", [])) is not None
    run(verifiers.rubric(recipe, server).score_group([]))
    with pytest.raises(RolloutError, match="a state has no 'completion'; it has answer, prompt"):
        run(verifiers.rubric(recipe, server).score_group([{"prompt": "p", "answer": "2"}]))


def test_a_step_that_slime_does_not_tell_is_not_taken_for_the_first(server: str) -> None:
    scheduled = '[rewards.short]\nverifier = "length"\noptions = { max = { from = 100, to = 1, steps = 10 } }\n'
    recipe = Recipe.loads('[servers.rules]\nverifiers = ["length"]\n' + scheduled)
    score = slime.custom_rm_of(recipe, server)
    told, untold = Arguments(), type("Arguments", (), {"reward_key": None})()
    assert run(score(told, Sample("p", "x" * 50, 0))) == 1.0
    late = Sample("p", "x" * 50, 0)
    late.rollout_id = 10  # type: ignore[attr-defined]  # newer versions have it
    assert run(score(untold, late)) == 0.0
    with pytest.raises(RecipeError, match="changes with the training step; pass step="):
        run(score(untold, Sample("p", "x", 0)))
