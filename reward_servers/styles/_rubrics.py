"""Rubrics of verifiers 0.1: reward functions with weights, each called so that its failure is seen.

The rubric's own scoring logs what a function raises and goes on with 0.0. Here the functions are called one by one.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reward_servers import Fault, FaultError, Rollout, Score, ServiceError
from reward_servers.core import Group, Verifier
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns, columns_of, content_of, require
from reward_servers.styles._making import clipped, is_async, make_verifier, members, number_of, parameters_of, score_of

_PLURAL = {
    "prompt": "prompts",
    "completion": "completions",
    "answer": "answers",
    "state": "states",
    "task": "tasks",
    "info": "infos",
}
_ANY = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One reward function.

    Attributes:
        name: Its name.
        function: It.
        weight: What its reward counts; one of weight 0 is a metric.
        rubric: The rubric that holds it.
        whole: Whether it judges a whole group.
    """

    name: str
    function: Any
    weight: float
    rubric: Any
    whole: bool


def verifiers(address: str) -> Verifier:
    """A ``Rubric`` or ``RubricGroup`` of verifiers 0.1, an environment with one, or a function that makes either.

    The score is the weighted sum of its functions, each of which is an aspect. One with a group function judges groups.

    Raises:
        VerifierNotFoundError: There is nothing at the address.
        VerifierDefinitionError: It cannot be served.
    """
    parsed = Address.read(address, ("messages",))
    library = parsed.guarded(lambda: importlib.import_module("verifiers"), "needs the package verifiers (0.1)")
    if not hasattr(library, "Rubric"):
        raise parsed.refused("this release of verifiers has no Rubric; pip install 'verifiers<0.2'")
    rules = list(_rules(parsed, _rubric_of(parsed, library), library.Rubric))
    if not rules:
        raise parsed.refused("the rubric has no reward function")
    low = sum(min(rule.weight, 0.0) for rule in rules)
    high = sum(max(rule.weight, 0.0) for rule in rules)
    # Each function is taken to give 0 to 1, as they mostly do; others declare their range.
    limits = parsed.range((low, high) if low < high else (0.0, 1.0))
    scorer = _RubricScorer(address, rules, limits, library, messages=parsed.flag("messages", default=True))
    loop = any(is_async(rule.function) for rule in rules)

    def run(subject: Any, reference: Columns) -> Any:
        return asyncio.run(scorer.judge(subject, threads=False))

    async def wait(subject: Any, reference: Columns) -> Any:
        return await scorer.judge(subject, threads=True)

    return make_verifier(
        parsed,
        wait if loop else run,
        limits=limits,
        loop=loop,
        group=any(rule.whole for rule in rules),
        deterministic=not loop,
        sources=(parsed.module, *(getattr(rule.function, "__module__", parsed.module) for rule in rules)),
        libraries=("verifiers",),
    )


def _rubric_of(address: Address, library: Any) -> Any:
    target = address.load()
    if not isinstance(target, library.Rubric) and not hasattr(target, "rubric") and callable(target):
        target = address.guarded(target, "cannot be made without arguments")
    target = getattr(target, "rubric", target)
    if not isinstance(target, library.Rubric):
        raise address.refused(f"{clipped(target)} is neither a Rubric nor something that has one")
    return target


def _rules(address: Address, rubric: Any, base: type) -> Iterator[_Rule]:
    members_of = getattr(rubric, "rubrics", None)
    if members_of is not None:
        for member in members_of:
            yield from _rules(address, member, base)
        return
    for method in ("score_rollout", "score_group"):
        if getattr(type(rubric), method, None) is not getattr(base, method, None):
            raise address.refused(
                f"{type(rubric).__name__} has a {method} of its own, which may hide failures; serve its functions "
                "in a plain Rubric"
            )
    for function, weight in zip(rubric.funcs, rubric.weights, strict=True):
        name = getattr(function, "__name__", type(function).__name__)
        yield _Rule(name, function, float(weight), rubric, bool(rubric._is_group_func(function)))


class _RubricScorer:
    """Calls the functions of a rubric."""

    def __init__(
        self, owner: str, rules: Sequence[_Rule], limits: tuple[float, float], library: Any, *, messages: bool
    ) -> None:
        self._who = owner
        self._rules = rules
        self._limits = limits
        self._state = library.State
        self._messages = messages

    async def judge(self, subject: Rollout | Group, *, threads: bool) -> Any:
        """Judge a rollout or a group; on an event loop that others use, functions that compute run in threads."""
        objects = [self._objects(member, place) for place, member in enumerate(members(subject))]
        columns = [await self._apply(rule, objects, threads=threads) for rule in self._rules]
        totals: list[Score | Fault] = []
        for row in range(len(objects)):
            try:
                totals.append(self._total([column[row] for column in columns]))
            except FaultError as error:
                if isinstance(subject, Rollout):
                    raise
                totals.append(error.to_fault())
        return totals[0] if isinstance(subject, Rollout) else totals

    async def _apply(
        self, rule: _Rule, rows: Sequence[Mapping[str, Any]], *, threads: bool
    ) -> list[float | FaultError]:
        """What a function says of each row; the fault where it says nothing."""
        calls = [_together(rows)] if rule.whole else rows
        needed = [name for name in parameters_of(rule.function)[0] if name not in rule.rubric.class_objects]
        numbers: list[float | FaultError] = []
        for row in calls:
            try:
                require(needed, row, f"{self._who}: {rule.name}")
                returned = await _call(rule.function, {**row, **rule.rubric.class_objects}, threads=threads)
                values = list(returned) if rule.whole else [returned]
                if rule.whole and len(values) != len(rows):
                    raise ServiceError(f"{rule.name} returned {len(values)} rewards for {len(rows)} rollouts")
                numbers += [_number(value, f"{self._who}: {rule.name}") for value in values]
            except (MemoryError, RecursionError):
                raise  # bounds that the candidate exhausted
            except Exception as error:  # noqa: BLE001 - whatever a function raises is a fault of these rows alone
                fault = ServiceError(
                    f"{self._who}: {rule.name} raised {type(error).__name__}: {error}"[:2000], code="verifier_error"
                )
                numbers += [error if isinstance(error, FaultError) else fault] * (len(rows) if rule.whole else 1)
        return numbers

    def _objects(self, rollout: Rollout, place: int) -> dict[str, Any]:
        columns = columns_of(rollout)
        prompt = content_of(rollout.prompt_context.prompt, "user", messages=self._messages)
        completion = content_of(rollout.content, "assistant", messages=self._messages)
        own = {
            "prompt": prompt,
            "completion": completion,
            "info": columns.get("info", {}),
            "task": columns.get("task", ""),
        }
        state = self._state({**own, "example_id": columns.get("example_id", place), "trajectory": [], "timing": {}})
        return {**columns, **own, "state": state}

    def _total(self, values: Sequence[float | FaultError]) -> Score:
        """The weighted sum of what the functions said of a rollout.

        Raises:
            FaultError: One that counts said nothing.
        """
        total = 0.0
        parts: dict[str, float | None] = {}
        for rule, value in zip(self._rules, values, strict=True):
            if isinstance(value, FaultError):
                if rule.weight:
                    raise value
                parts[rule.name] = None  # a metric takes no reward away
            else:
                total += rule.weight * value
                parts[rule.name] = value
        return score_of(number_of(total, self._who, self._limits), parts)


def _number(value: Any, name: str) -> float | FaultError:
    try:
        return number_of(value, name, _ANY)
    except FaultError as error:
        return error


def _together(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The objects of a group, by their plural names; those that a row lacks are left out."""
    return {plural: [row[name] for row in rows] for name, plural in _PLURAL.items() if all(name in row for row in rows)}


async def _call(function: Any, objects: Mapping[str, Any], *, threads: bool) -> Any:
    names_taken = parameters_of(function)[1]
    arguments = (
        dict(objects)
        if names_taken is None
        else {name: value for name, value in objects.items() if name in names_taken}
    )
    if is_async(function) or not threads:
        returned = function(**arguments)
    else:
        returned = await asyncio.to_thread(function, **arguments)
    return await returned if inspect.isawaitable(returned) else returned
