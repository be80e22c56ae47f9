"""Worker processes: what becomes of items that misbehave, and that their neighbours lose nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import sandbox
from reward_servers.core import Party, StartupError
from reward_servers.core.executors._process_tree import children_of, is_helper
from tests.core.helpers import as_fault, as_verdict, group, opened, outcomes, request, scored, scoring
from tests.core.unruly import Batch, Refuses, equal, pid, unruly
from tests.typed import declared


async def test_every_misbehaviour_has_its_own_outcome_and_costs_no_neighbour() -> None:
    texts = [
        "fine",
        "raise",
        "exit",
        "interrupt",
        "spin",
        "fine 2",
        "abort",
        "memory",
        "recurse",
        "print",
        "number nan",
        "number 7",
        "text x",
    ]
    async with scoring(unruly) as scorer:
        found = dict(zip(texts, await outcomes(scorer, request("test/unruly", group(*texts))), strict=True))
    assert {text: as_verdict(found[text]).code for text in ("fine", "fine 2", "print")} == {
        "fine": "accepted",
        "fine 2": "accepted",
        "print": "accepted",
    }
    for text in ("spin", "memory", "recurse"):
        assert (as_verdict(found[text]).code, as_verdict(found[text]).score) == ("limit", -1.0)
    assert (as_verdict(found["abort"]).code, as_verdict(found["abort"]).score) == ("crashed_verifier", -1.0)
    for text in ("raise", "exit", "interrupt"):
        assert (as_fault(found[text]).party, as_fault(found[text]).code) == (Party.SERVICE, "verifier_error")
    for text in ("number nan", "number 7", "text x"):
        assert as_fault(found[text]).code == "invalid_score"


async def test_memory_that_other_items_have_left_behind_is_not_held_against_a_candidate() -> None:
    texts = [*(f"leak {number}" for number in range(40)), "memory", "fine"]
    async with scoring(unruly) as scorer:
        *leaks, exhausting, fine = await outcomes(scorer, request("test/unruly", group(*texts)))
    assert {(as_verdict(one).code, as_verdict(one).score) for one in (*leaks, fine)} == {("accepted", 1.0)}
    assert (as_verdict(exhausting).code, as_verdict(exhausting).score) == ("limit", -1.0)


async def test_sleeping_without_computing_is_a_fault() -> None:
    async with scoring(unruly) as scorer:
        slept, fine = await outcomes(scorer, request("test/unruly", group("sleep", "fine")))
    assert (as_fault(slept).party, as_fault(slept).code) == (Party.SERVICE, "wall_limit")
    assert as_verdict(fine).score == 1.0


async def test_the_cpu_time_of_children_counts() -> None:
    roomy = replace(unruly, limits=replace(unruly.limits, wall_s=60.0))
    async with scoring(roomy) as scorer:
        (found,) = await outcomes(scorer, request("test/unruly", group("child")))
    assert as_verdict(found).code == "limit"


async def test_an_item_whose_worker_died_once_is_judged_by_another(tmp_path: Path) -> None:
    async with scoring(unruly) as scorer:
        (found,) = await outcomes(scorer, request("test/unruly", group(f"abort-once {tmp_path / 'marker'}")))
    assert as_verdict(found).code == "accepted"


@pytest.mark.parametrize("where", ["near", "away"])
async def test_a_worker_that_dies_and_leaves_a_child_behind_is_missed_at_once(where: str) -> None:
    patient = replace(unruly, limits=replace(unruly.limits, wall_s=600.0))
    async with scoring(patient) as scorer:
        found, fine = await outcomes(scorer, request("test/unruly", group(f"orphan {where}", "fine")))
    assert (as_verdict(found).code, as_verdict(found).score) == ("crashed_verifier", -1.0)
    assert as_verdict(fine).score == 1.0


async def test_declared_faults_and_floors_pass_through() -> None:
    async with scoring(unruly) as scorer:
        fault, nothing = await outcomes(scorer, request("test/unruly", group("fault", "nothing")))
    assert (as_fault(fault).party, as_fault(fault).code, as_fault(fault).retryable) == (Party.UPSTREAM, "down", True)
    assert as_fault(fault).retry_after == 0.5
    assert (as_verdict(nothing).score, as_verdict(nothing).code) == (-1.0, "no_answer")


async def test_a_response_over_the_limit_is_a_verdict_without_a_run() -> None:
    async with scoring(unruly) as scorer:
        long, fine = await outcomes(scorer, request("test/unruly", group("x" * 100_001, "fine")))
    assert (as_verdict(long).code, as_verdict(long).score) == ("limit", -1.0)
    assert as_verdict(fine).score == 1.0


async def test_references_are_checked_item_by_item() -> None:
    good, bad = group("a", reference=b'{"answer": "a"}'), group("a", reference=b'{"answer": 5}', name="bad")
    missing, broken = group("a", name="missing"), group("a", reference=b"{", name="broken")
    unusable = group("a", reference=b'{"answer": "unusable"}', name="unusable")
    async with scoring(equal) as scorer:
        found = await outcomes(scorer, request("test/equal", good, bad, missing, broken, unusable))
    assert as_verdict(found[0]).score == 1.0
    assert [as_fault(one).code for one in found[1:]] == [
        "invalid_reference",
        "missing_reference",
        "invalid_reference",
        "invalid_reference",
    ]
    assert {as_fault(one).party for one in found[1:]} == {Party.DATASET}
    assert "reference.answer" in as_fault(found[1]).message


async def test_what_waits_behind_a_stuck_item_moves_to_another_worker() -> None:
    async with scoring(pid, workers=2) as scorer:
        results = await scored(scorer, request("test/pid", group("1.5", *["0"] * 30)))
    evidence = [json.loads(as_verdict(one.outcome).evidence) for one in results]
    assert max(one["at"] for one in evidence[1:]) < evidence[0]["at"]


async def test_closing_a_call_ends_the_work() -> None:
    roomy = replace(unruly, limits=replace(unruly.limits, wall_s=600.0))
    async with scoring(roomy, workers=1) as scorer:
        call = opened(scorer, request("test/unruly", group("sleep 600")))
        call.close()
        assert scorer.admission.items == 0
        # The only worker is free again: its item was ended.
        (found,) = await outcomes(scorer, request("test/unruly", group("fine")))
    assert as_verdict(found).score == 1.0


async def test_a_batch_with_a_broken_item_is_judged_without_it() -> None:
    texts = ["a", "poison", "bb", "ccc", "abort", "dddd", "e", "sleep"]
    async with scoring(declared(Batch), settings={"test/batch": {"offset": 10.0}}) as scorer:
        found = dict(zip(texts, await outcomes(scorer, request("test/batch", group(*texts))), strict=True))
    assert {text: as_verdict(found[text]).score for text in ("a", "bb", "ccc", "dddd", "e")} == {
        "a": 11.0,
        "bb": 12.0,
        "ccc": 13.0,
        "dddd": 14.0,
        "e": 11.0,
    }
    assert as_fault(found["sleep"]).code == "wall_limit"
    assert as_fault(found["poison"]).code == "verifier_error"
    assert as_verdict(found["abort"]).code == "crashed_verifier"


async def test_a_verifier_that_cannot_start_says_why() -> None:
    with pytest.raises(StartupError, match="plug one in"):
        async with scoring(declared(Refuses)):
            pass


def test_the_processes_of_a_sandbox_are_kept_between_items() -> None:
    """Those of a slot that is opened while an item is judged, and of one for packages that a later item needs."""
    before = set(children_of(os.getpid()))
    with sandbox.open_sandbox() as box:
        for preload in (None, "scientific"):
            prepared = box.prepare(sandbox.Program("python", b"print(1)", preload=preload))
            assert isinstance(prepared, sandbox.Prepared)
            assert box.run(prepared, limits=sandbox.Limits(wall_s=60.0)).stdout == b"1\n"
            started = set(children_of(os.getpid())) - before
            assert started
            assert all(map(is_helper, started))
