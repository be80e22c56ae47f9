"""verifiers: a recipe as a rubric (0.1) and as a judge or a task's reward (v1, 0.4).

    from trainer_client.adapters.verifiers import rubric            # 0.1: an environment's rubric
    env = vf.SingleTurnEnv(dataset=..., rubric=rubric("recipe.toml", {"math": "127.0.0.1:50051"}))

    from trainer_client.adapters.verifiers import task_reward       # v1: a task's reward
    class Sums(vf.Task):
        correct = task_reward("recipe.toml", {"math": "127.0.0.1:50051"}, label="answer")

A rubric of 0.1 turns an exception of a reward function into 0.0, so this one is a rubric of its own: whole groups are
scored in one batch; a rollout without a reward gets the error that environments give rollouts that broke, advantage
0, and no part in its group's mean. In v1 the error of a reward leaves the reward None and the trace with an error, and
prime-rl, whose environments are those of v1, learns from no trace with one. Run with verifiers 0.1.14 and 0.4.0.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from trainer_client import AsyncRewardClient, Endpoints, Recipe, Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of
from trainer_client.adapters.missing import (
    Breaker,
    MissingRewardError,
    OnMissing,
    check_on_missing,
    refuse_group_verifiers,
    refuse_other_tasks,
    refuse_sibling_rules,
)
from trainer_client.adapters.numbers import part_key, score_key
from trainer_client.adapters.singles import RecipeLike, SingleScorer, rollout_of_sample
from trainer_client.adapters.tables import PartsOnce, numbers_of_row, reason_of, tolerant


class _SiblingRefusal:
    """Refuses, once, a recipe that reads siblings, where a rollout is scored without them.

    Args:
        client: knows the recipe, and asks what its verifiers judge.
    """

    def __init__(self, client: AsyncRewardClient) -> None:
        self._client = client
        self._checked = False

    async def check(self) -> None:
        """Look at the recipe.

        Raises:
            RecipeError: it needs siblings.
        """
        if not self._checked:
            remedy = "this environment scores each rollout by itself; let it score groups (independent_scoring=False)"
            refuse_sibling_rules(self._client.recipe, remedy)
            refuse_group_verifiers(await self._client.describe(), remedy)
            self._checked = True


def rubric(
    recipe: Recipe | str | AsyncRewardClient,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "none",
    max_missing: float = 0.2,
) -> Any:
    """Make a rubric of verifiers 0.1 of a recipe.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"none"`` gives a rollout without a reward an error of its own; ``"error"`` ends the run; a number
            is its reward.
        max_missing: share of the latest rollouts without a reward from which the run ends.

    Raises:
        RecipeError: the recipe cannot be used.
    """
    import verifiers as vf

    client = recipe if isinstance(recipe, AsyncRewardClient) else AsyncRewardClient(recipe, endpoints)
    scoring = tolerant(client)
    declared = PartsOnce(scoring)
    lone = _SiblingRefusal(scoring)
    rule, breaker = check_on_missing(on_missing), Breaker(max_missing)

    class AssayRubric(vf.Rubric):  # type: ignore[misc]
        """A recipe's rewards."""

        async def score_rollout(self, state: Any) -> None:
            """Score one rollout by itself: it has no siblings, so that no advantage is made of its reward."""
            await lone.check()
            await self.score_group([state], alone=True)

        async def score_group(self, states: Sequence[Any], *, alone: bool = False) -> None:
            """Score the rollouts of a prompt together."""
            if not states:
                return
            rollouts = _rollouts(states)
            refuse_other_tasks(scoring.recipe, {rollout.task for rollout in rollouts})
            table = await scoring.score(rollouts)
            parts = await declared.of(table)
            rewards, mask = table.rewards.tolist(), table.mask.tolist()
            valid_rewards = [reward for reward, ok in zip(rewards, mask, strict=True) if ok]
            mean = sum(valid_rewards) / len(valid_rewards) if valid_rewards else 0.0
            for row, state in enumerate(states):
                reason = "" if mask[row] else reason_of(table, row)
                breaker.count(not mask[row], reason)
                if not mask[row] and rule == "error":
                    raise MissingRewardError(table.rollout_ids[row], {"reward": reason})
                if not mask[row] and rule == "none":
                    state["error"] = vf.InfraError(f"no reward: {reason}")
                filler = 0.0 if isinstance(rule, str) else rule
                state["reward"] = rewards[row] if mask[row] else filler
                state["metrics"] = numbers_of_row(table, row, parts)
                if not alone:
                    _tell_turns(state, rewards[row] - mean if mask[row] else 0.0)

    return AssayRubric()


def _tell_turns(state: Any, advantage: float) -> None:
    """Give a rollout its advantage, and its turns what they have not of their own."""
    state["advantage"] = advantage
    for turn in state.get("trajectory") or ():
        turn["advantage"] = advantage if turn.get("advantage") is None else turn["advantage"]
        turn["reward"] = state["reward"] if turn.get("reward") is None else turn["reward"]


def _rollouts(states: Sequence[Any]) -> list[Rollout]:
    rollouts = []
    for place, state in enumerate(states):
        if missing := [key for key in ("prompt", "completion") if state.get(key) is None]:
            raise RolloutError(f"a state has no {missing[0]!r}; it has {', '.join(sorted(state))}", missing[0])
        prompt, completion, answer = state["prompt"], state["completion"], state.get("answer")
        info = state.get("info")
        task = state.get("task")
        rollouts.append(
            Rollout(
                f"{content_id(prompt, completion, answer)}-{place}",
                _plain(prompt, "prompt"),
                _plain(completion, "completion"),
                group_id="group",
                task=task if isinstance(task, str) else "",
                reference=reference_of(answer if answer not in (None, "") else (info or {}).get("reference")),
                metadata=dict(info) if isinstance(info, Mapping) and info else None,
            )
        )
    return rollouts


def _plain(content: Any, field: str) -> Any:
    """Messages as plain objects; verifiers has types of its own for them.

    Raises:
        RolloutError: it is neither a text nor messages.
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or not all(
        isinstance(part, Mapping) or hasattr(part, "role") for part in content
    ):
        raise RolloutError(f"expected text or a list of messages, found {type(content).__name__}", field)
    return [
        message.model_dump(exclude_none=True) if hasattr(message, "model_dump") else dict(message)
        for message in content
    ]


def task_reward(
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    label: str = "answer",
    name: str = "reward",
    weight: float = 1.0,
    max_missing: float = 0.2,
) -> Callable[..., Awaitable[float]]:
    """Make a reward method for a task of verifiers v1.

    Args:
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        label: field of the task's data that holds the reference; one that the data lack is none.
        name: under which v1 records it.
        weight: its factor in the trace's reward.
        max_missing: share of the latest traces without a reward from which an error says that something is down.

    Returns:
        A method, to be assigned in a class of ``vf.Task``. Where there is no reward it raises; v1 then keeps the reward
        None and marks the trace with the error.

    Raises:
        RecipeError: the recipe cannot be used for single rollouts.
    """
    import verifiers.v1 as vf

    score = _scorer_of_traces(recipe, endpoints, label, max_missing)

    async def reward(self: Any, task: Any, trace: Any) -> float:
        return await score(task, trace)

    reward.__name__ = reward.__qualname__ = name
    return vf.reward(weight=weight)(reward)  # type: ignore[no-any-return]


def judge(
    recipe: RecipeLike, endpoints: Endpoints | None = None, *, label: str = "answer", max_missing: float = 0.2
) -> type[Any]:
    """Make a class of ``vf.Judge`` of verifiers v1, to be plugged by a task's configuration: see `task_reward`."""
    import verifiers.v1 as vf

    scorer = _scorer_of_traces(recipe, endpoints, label, max_missing)

    class AssayJudge(vf.Judge[float]):  # type: ignore[misc]
        """A recipe's reward."""

        async def score(self, task: Any, trace: Any) -> float:
            """Score a trace."""
            return await scorer(task, trace)

    return AssayJudge


def _scorer_of_traces(
    recipe: RecipeLike, endpoints: Endpoints | None, label: str, max_missing: float
) -> Callable[[Any, Any], Awaitable[float]]:
    """What gives the reward of a trace of v1, or raises: v1 then marks the trace with the error."""
    scorer = SingleScorer(recipe, endpoints, on_missing="error", max_missing=max_missing)

    async def score(task: Any, trace: Any) -> float:
        prompt, response = _of_trace(task, trace)
        # The same keys whatever happens; v1 keeps None where there is no number.
        trace.metrics.update(dict.fromkeys(map(score_key, scorer.client.recipe.columns), None))
        parts = await scorer.parts_async()
        trace.metrics.update(dict.fromkeys((part_key(name, part) for name in parts for part in parts[name]), None))
        result = await scorer.score_async(rollout_of_sample(prompt, response, getattr(task, label, None)))
        assert result.reward is not None  # otherwise the rule raises
        for name, score in result.result.scores.items():
            if score is not None:
                trace.record_metric(score_key(name), score)
        for name, part in ((name, part) for name, names in parts.items() for part in names):
            if (value := result.result.aspects(name).get(part)) is not None:
                trace.record_metric(part_key(name, part), value)
        return result.reward

    return score


def _of_trace(task: Any, trace: Any) -> tuple[Any, Any]:
    """Prompt and response of a trace: texts where each is one, else the messages before what was sampled and since.

    Raises:
        RolloutError: nothing was sampled, or a message cannot be sent.
    """
    nodes = trace.branches[-1].nodes if trace.branches else []
    first = next((place for place, node in enumerate(nodes) if node.sampled), None)
    if first is None:
        raise RolloutError("the trace holds no reply of a model", "trace")
    prompt, completion = nodes[:first], nodes[first:]
    prompt_text = (
        task.prompt if isinstance(task.prompt, str) else _plain([node.message for node in prompt], "prompt") or ""
    )
    if trace.root_reply is not None or len(completion) == 1:
        return prompt_text, trace.last_reply
    return prompt_text, _plain([node.message for node in completion], "completion")
