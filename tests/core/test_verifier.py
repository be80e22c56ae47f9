"""Declaring verifiers: what a signature says, and what is refused with which remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from reward_servers import Context, Fault, Item, Options, Reference, Rollout, Score, verifier
from reward_servers.core import Cost, ItemLimits, Placement, VerifierDefinitionError
from tests.core import unruly
from tests.typed import declared


class Gold(Reference):
    """A reference."""

    answer: str


class Choices(Options):
    """Options."""

    strict: bool = False


def test_where_a_verifier_runs_follows_from_its_kind() -> None:
    assert (unruly.equal.runs, unruly.equal.cost) == (Placement.PROCESS, Cost.CPU)
    assert (unruly.wait.runs, unruly.wait.cost) == (Placement.LOOP, Cost.NETWORK)
    assert (declared(unruly.Batch).runs, declared(unruly.Batch).cost) == (Placement.DEVICE, Cost.DEVICE)


def test_parameters_are_found_by_annotation_in_any_order() -> None:
    @verifier("test/order", version="1")
    async def order(options: Choices, context: Context, ref: Gold, rollout: Rollout) -> str:
        return f"{rollout.response} {ref.answer} {options.strict} {context.verifier}"

    assert order.reference is Gold
    assert order.options is Choices
    assert [role.name for role in order.roles] == ["OPTIONS", "CONTEXT", "REFERENCE", "ROLLOUT"]


def test_a_declared_function_can_still_be_called() -> None:
    assert unruly.equal(Rollout("a"), unruly.Expected(answer="a"), unruly.Marks()) == 1.0


def test_a_verifier_that_cannot_be_imported_is_refused() -> None:
    with pytest.raises(VerifierDefinitionError, match="move it to the top level of a module file"):

        @verifier("test/local", version="1")
        def local(rollout: Rollout) -> float:
            return 1.0


def test_parameters_without_a_role_are_refused() -> None:
    with pytest.raises(VerifierDefinitionError, match="parameter 'answer' needs an annotation"):

        @verifier("test/untyped", version="1")
        async def untyped(rollout: Rollout, answer: str) -> float:
            return 1.0

    with pytest.raises(VerifierDefinitionError, match="no parameter receives the group"):

        @verifier("test/groupless", version="1", scope="group")
        async def groupless(context: Context) -> float:
            return 1.0

    with pytest.raises(VerifierDefinitionError, match="two parameters receive the rollout"):

        @verifier("test/twice", version="1")
        async def twice(one: Rollout, other: Rollout) -> float:
            return 1.0

    with pytest.raises(VerifierDefinitionError, match="is given by position"):

        @verifier("test/keyword", version="1")
        async def keyword(rollout: Rollout, *, context: Context) -> float:
            return 1.0


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"version": ""}, "version is a text"),
        ({"version": 1}, "version is a text"),
        ({"score_range": (1.0, 0.0)}, "score_range"),
        ({"score_range": (0.0, float("inf"))}, "score_range"),
        ({"floor": -1.0}, "floor -1.0 is outside"),
        ({"floor": float("nan")}, "floor nan is outside"),
        ({"concurrency": 0}, "at least 1"),
        ({"max_batch": 0}, "at least 1"),
        ({"limits": ItemLimits(cpu_s=0)}, "limits are greater than 0"),
    ],
)
def test_numbers_that_no_item_can_be_judged_by_are_refused(declared: dict[str, Any], said: str) -> None:
    with pytest.raises(VerifierDefinitionError, match=said):
        verifier("test/odd", **{"version": "1", **declared})


@pytest.mark.parametrize("name", ["Upper", "a/b/c", "", "two words"])
def test_names_are_checked(name: str) -> None:
    with pytest.raises(VerifierDefinitionError, match="not a verifier name"):
        verifier(name, version="1")


def test_classes_need_something_to_call() -> None:
    with pytest.raises(VerifierDefinitionError, match="needs `score` or `score_batch`"):

        @verifier("test/empty", version="1")
        class Empty:
            pass

    with pytest.raises(VerifierDefinitionError, match="derived from Settings"):

        @verifier("test/setup", version="1")
        class Setup:
            def setup(self, settings: int) -> None: ...

            async def score(self, rollout: Rollout) -> float:
                return 1.0

    with pytest.raises(VerifierDefinitionError, match="make it `def`"):

        @verifier("test/async-batch", version="1")
        class Awaited:
            async def score_batch(self, items: Sequence[Item]) -> Sequence[Score | Fault]:
                return []

    with pytest.raises(VerifierDefinitionError, match="judges rollouts, not groups"):

        @verifier("test/batch-group", version="1", scope="group")
        class BatchGroup:
            def score_batch(self, items: Sequence[Item]) -> Sequence[Score]:
                return []


def test_scope_and_settings_are_read_from_the_declaration() -> None:
    assert unruly.rank.scope == "group"
    assert declared(unruly.Batch).settings is unruly.BatchSettings


@pytest.mark.parametrize("attribute", ["reference", "Ref"])
def test_a_batching_class_with_a_reference_under_another_name_is_refused(attribute: str) -> None:
    class Wanted(Reference):
        answer: str

    def score_batch(self: object, items: list[object]) -> list[float]:
        return [0.0 for _ in items]

    target = type("Batching", (), {attribute: Wanted, "score_batch": score_batch})
    with pytest.raises(VerifierDefinitionError, match=rf"{attribute}: .*write `Reference = Wanted`"):
        verifier("acme/batching", version="1")(target)
