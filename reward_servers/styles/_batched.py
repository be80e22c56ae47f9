"""Functions that take columns of a batch and return its rewards: those of TRL and of ms-swift."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from reward_servers import Fault, FaultError, Rollout, Score, ServiceError
from reward_servers.core import Group, Verifier
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns, columns_of, content_of, require
from reward_servers.styles._making import (
    clipped,
    finish,
    is_async,
    make_verifier,
    members,
    number_of,
    parameters_of,
    score_of,
)

_TRAINERS = frozenset({"trainer_state", "environments", "environment"})
"""What only a running trainer has."""
_GIVEN = ("prompts", "completions", "completion_ids", "log_metric", "log_extra")
"""What TRL gives whatever the data set holds."""


def trl(address: str) -> Verifier:
    """A reward function of TRL: ``f(prompts, completions, **columns) -> list[float | None]``.

    It is called with the rollout alone, or with its whole group where the address says ``group=yes``. What it gives to
    ``log_metric`` is an aspect of the score, what it gives to ``log_extra`` evidence.

    Raises:
        VerifierNotFoundError: There is nothing at the address.
        VerifierDefinitionError: It cannot be served.
    """
    parsed = Address.read(address, ("group", "messages"))
    return _serve(parsed, parsed.load(), _Trl(parsed))


def swift(address: str) -> Verifier:
    """A reward of ms-swift: a class derived from ``ORM`` or ``AsyncORM``, or what is called like its instances.

    Raises:
        VerifierNotFoundError: There is nothing at the address.
        VerifierDefinitionError: It cannot be served.
    """
    parsed = Address.read(address, ("group",))
    given_columns = parsed.load()
    if inspect.isclass(given_columns):
        given_columns = parsed.guarded(given_columns, "cannot be made without arguments")
    return _serve(parsed, given_columns, _Swift())


class _Form(ABC):
    """How a batch is handed over."""

    @abstractmethod
    def needed(self, required: Sequence[str]) -> list[str]:
        """The columns among the parameters that a function cannot be called without."""

    @abstractmethod
    def call(self, function: Any, rollouts: Sequence[Rollout], columns: dict[str, list[Any]], log: _Log) -> Any:
        """Call the function."""


class _Trl(_Form):
    def __init__(self, address: Address) -> None:
        self._messages = address.flag("messages", default=False)

    def needed(self, required: Sequence[str]) -> list[str]:
        return [name for name in required if name not in _GIVEN]

    def call(self, function: Any, rollouts: Sequence[Rollout], columns: dict[str, list[Any]], log: _Log) -> Any:
        arguments = {
            **columns,
            "prompts": [
                content_of(rollout.prompt_context.prompt, "user", messages=self._messages) for rollout in rollouts
            ],
            "completions": [content_of(rollout.content, "assistant", messages=self._messages) for rollout in rollouts],
            "completion_ids": [list(rollout.token_ids) for rollout in rollouts],
            "log_metric": log.metric,
            "log_extra": log.extra,
        }
        return function(**_accepted_arguments(function, arguments))


class _Swift(_Form):
    def needed(self, required: Sequence[str]) -> list[str]:
        # The first parameter takes the completions, whatever it is called.
        return [name for name in required[1:] if name != "messages"]

    def call(self, function: Any, rollouts: Sequence[Rollout], columns: dict[str, list[Any]], log: _Log) -> Any:
        messages = []
        for rollout in rollouts:
            prompt = content_of(rollout.prompt_context.prompt, "user", messages=True)
            messages.append([*prompt, *content_of(rollout.content, "assistant", messages=True)])
        first = next(iter(inspect.signature(function).parameters), "")
        further_columns = {name: values for name, values in columns.items() if name != first}
        return function(
            [rollout.response for rollout in rollouts],
            **_accepted_arguments(function, {**further_columns, "messages": messages}),
        )


class _Log:
    """What a function tells beside its rewards."""

    def __init__(self, rows: int) -> None:
        self.metrics: dict[str, Any] = {}
        self._extra: dict[str, Sequence[Any]] = {}
        self._rows = rows

    def metric(self, name: str, value: Any) -> None:
        """Note a figure of the call."""
        self.metrics[str(name)] = value.item() if hasattr(value, "item") else value

    def extra(self, column: str, values: Sequence[Any]) -> None:
        """Note a value of each row."""
        self._extra[str(column)] = values

    def of(self, row: int) -> dict[str, Any]:
        """What was told of a row."""
        own_columns = {name: list(values)[row] for name, values in self._extra.items() if len(values) == self._rows}
        return {**own_columns, **self.metrics}


def _accepted_arguments(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    names = parameters_of(function)[1]
    return arguments if names is None else {name: value for name, value in arguments.items() if name in names}


def _serve(address: Address, function: Any, form: _Form) -> Verifier:
    if not callable(function) or inspect.isclass(function):
        raise address.refused(f"{clipped(function)} is not a function")
    required = address.guarded(lambda: parameters_of(function)[0], "has no signature")
    trainers = sorted(_TRAINERS & set(required))
    if trainers:
        raise address.refused(f"the function needs {trainers[0]}, which only a running trainer has; give it a default")
    limits, group = address.range(), address.flag("group", default=False)
    judge = _judge_of(address, function, form, form.needed(required), limits)
    loop = is_async(function)
    return make_verifier(
        address,
        _on_loop(judge) if loop else _in_worker(judge),
        limits=limits,
        loop=loop,
        group=group,
        # What waits asks something else, which need not say the same again.
        deterministic=not loop,
        about=function,
        sources=(address.module, getattr(function, "__module__", None) or type(function).__module__),
    )


_Judge = Callable[[Rollout | Group], tuple[Any, Callable[[Any], Any]]]


def _judge_of(
    address: Address, function: Any, form: _Form, needed: Sequence[str], limits: tuple[float, float]
) -> _Judge:
    def judge(subject: Rollout | Group) -> tuple[Any, Callable[[Any], Any]]:
        rollouts = members(subject)
        rows = [columns_of(rollout) for rollout in rollouts]
        for row in rows:
            require(needed, row, address.text)
        names = dict.fromkeys(name for row in rows for name in row if name not in ("prompt", "completion"))
        columns = {name: [row.get(name) for row in rows] for name in names}
        log = _Log(len(rollouts))
        returned = form.call(function, rollouts, columns, log)
        return returned, functools.partial(_scores, address.text, subject, limits, log)

    return judge


def _scores(name: str, subject: Rollout | Group, limits: tuple[float, float], log: _Log, returned: Any) -> Any:
    count = len(members(subject))
    try:
        rewards = list(returned)
    except TypeError:
        raise ServiceError(
            f"{name} returned {clipped(returned)}, not a list of rewards", code="invalid_score"
        ) from None
    if len(rewards) != count:
        raise ServiceError(f"{name} returned {len(rewards)} rewards for {count} rollouts", code="invalid_score")
    if isinstance(subject, Rollout):
        return score_of(number_of(rewards[0], name, limits), log.of(0))
    scores: list[Score | Fault] = []
    for row, reward in enumerate(rewards):
        try:
            scores.append(score_of(number_of(reward, name, limits), log.of(row)))
        except FaultError as error:
            scores.append(error.to_fault())
    return scores


def _in_worker(judge: _Judge) -> Callable[[Any, Columns], Any]:
    def run(subject: Any, reference: Columns) -> Any:
        returned, scores = judge(subject)
        return scores(finish(returned))

    return run


def _on_loop(judge: _Judge) -> Callable[[Any, Columns], Any]:
    async def run(subject: Any, reference: Columns) -> Any:
        returned, scores = judge(subject)
        return scores(await returned)

    return run
