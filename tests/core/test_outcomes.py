"""What a verifier may return, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from reward_servers.core import Fault, Party, Result, Score, Step, Usage, Verdict
from reward_servers.core._outcomes import to_verdict
from reward_servers.core.executors._frames import FrameReader
from reward_servers.core.executors._messages import ChunkResults, ResultsWriter, read_message
from reward_servers.wire import fill_result
from trainer_client.contract.aspect_names import AspectNames
from trainer_client.contract.v1 import types_pb2


def sent(returned: object) -> types_pb2.Result:
    """What a caller is sent."""
    outcome = to_verdict(returned, 0.0, 2.0, 0.25)
    message = types_pb2.Result()
    fill_result(message, Result(outcome), AspectNames())
    return types_pb2.Result.FromString(message.SerializeToString())


def test_what_a_model_read_reaches_the_caller_beside_a_score_and_nothing_else() -> None:
    """A model in the worker itself reads tokens without a call."""
    spent = Usage(cpu_us=5, input_tokens=300, output_tokens=2, cost=0.25)
    written = ResultsWriter()
    written.add(1, 0, [Verdict(1.0, "accepted")], 7, spent)
    (payload,) = FrameReader().feed(written.take())
    told = read_message(payload)
    assert isinstance(told, ChunkResults)
    ((_, (outcome,), _, usage),) = told.others
    assert usage == spent
    message = types_pb2.Result()
    fill_result(message, Result(outcome, usage=usage), AspectNames())
    found = message.usage
    assert (found.cpu_us, found.input_tokens, found.output_tokens, found.cost) == (5, 300, 2, 0.25)


def test_shares_of_a_cost_are_it_together() -> None:
    whole = Usage(10, 7, 301, 5, 1.0)
    together = Usage()
    for one in whole.shares(4):
        together.add(one)
    assert together == whole
    assert whole.shares(1) == [whole]


@pytest.mark.parametrize(
    ("returned", "score"),
    [
        (1.5, 1.5),
        (1, 1.0),
        (True, 2.0),
        (False, 0.0),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        (np.bool_(True), 2.0),
        (np.array(1.0), 1.0),
        (Score(np.float32(0.5)), 0.5),  # type: ignore[arg-type]
        (Score(None), 0.25),
        (Score.floor("no_answer"), 0.25),
    ],
)
def test_numbers_of_every_kind_are_scores(returned: object, score: float) -> None:
    assert sent(returned).verdict.score == score


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "NoneType"),
        ("1.0", "str"),
        ((1.0, "x"), "tuple"),
        ([1.0], "list"),
        (np.array([1.0, 2.0]), "ndarray"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (2.5, "[0, 2]"),
        (10**400, "inf"),
        (np.float32("nan"), "nan"),
        (Score("1"), "str"),  # type: ignore[arg-type]
        (Score(1.0, code=5), "code"),  # type: ignore[arg-type]
        (Score(1.0, note=None), "note"),  # type: ignore[arg-type]
        (Score(1.0, aspects={"a": math.nan}), "'a'"),
        (Score(1.0, aspects={"a": 10**400}), "'a' is 1000"),
        (Score(1.0, aspects={"a": "x"}), "'a'"),  # type: ignore[dict-item]
        (Score(1.0, aspects={3: 1.0}), "3"),  # type: ignore[dict-item]
        (Score(1.0, "x" * 129), "at most 128"),
        (Score(1.0, "two\nlines"), "printable"),
        (Score(1.0, steps=["x"]), "'x'"),  # type: ignore[list-item]
        (Score(1.0, steps=[Step(-1, 2, 0.5)]), "whole numbers"),
        (Score(1.0, steps=[Step(0, 2, math.nan)]), "finite"),
        (Score(1.0, aspects={f"a{n}": 0.5 for n in range(1025)}), "1025 aspects, at most 1024"),
        (Score(1.0, aspects={"a" * 257: 0.5}), "longer than 256"),
        (Score(1.0, steps=[Step(n, n + 1, 0.5) for n in range(32_769)]), "32769 steps, at most 32768"),
    ],
)
def test_what_breaks_the_declaration_is_a_fault_that_says_how(returned: object, said: str) -> None:
    fault = sent(returned).fault
    assert (fault.code, types_pb2.Party.Name(fault.party)) == ("invalid_score", "PARTY_SERVICE")
    assert said in fault.message


def test_lone_surrogates_travel_as_question_marks() -> None:
    odd = "a\ud800b"
    score = Score(1.0, odd, aspects={odd: 1.0}, note=odd, evidence={"x": odd}, feedback={odd: 1})
    verdict = sent(score).verdict
    assert (verdict.code, verdict.note, len(verdict.aspects)) == ("a?b", "a?b", 1)
    assert sent(Fault(Party.DATASET, odd, odd)).fault.message == "a?b"


@pytest.mark.parametrize(("given", "kept"), [(1.5, 1.5), (math.nan, None), (-1.0, None), (math.inf, None)])
def test_a_fault_can_always_be_sent(given: float, kept: float | None) -> None:
    party: Any = "upstream"
    fault = Fault(party, "down", "gone", retry_after=given)
    assert (fault.party, fault.retry_after) == (Party.UPSTREAM, kept)
    assert sent(fault).fault.HasField("retry_after") == (kept is not None)


@pytest.mark.parametrize("code", ["", "x" * 129, "two\nlines"])
def test_a_fault_has_a_code_that_clients_take(code: str) -> None:
    assert sent(Fault(Party.SERVICE, code, "gone")).fault.code == "unnamed"
    assert sent(Fault(Party.SERVICE, "x" * 128, "gone")).fault.code == "x" * 128


def _nested(depth: int) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(depth):
        nested = {"a": nested}
    return nested


def _endless() -> dict[str, Any]:
    endless: dict[str, Any] = {}
    endless["itself"] = endless
    return endless


class _Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (_endless(), b"itself"),
        ({("a", 1): 2}, b"('a', 1)"),
        (_nested(100_000), b"RecursionError"),
        ({"x": _Unwritable()}, b"RuntimeError"),
    ],
    ids=["endless", "keys", "nested", "unwritable"],
)
def test_what_is_said_of_a_score_never_changes_it(evidence: dict[Any, Any], said: bytes) -> None:
    for score in (Score(0.5, evidence=evidence), Score(0.5, feedback=evidence)):
        verdict = sent(score).verdict
        assert verdict.score == 0.5
        assert said in verdict.evidence_json + verdict.feedback_json


def test_evidence_that_is_no_json_is_written_as_text() -> None:
    verdict = to_verdict(Score(1.0, evidence={"x": {1}}), 0.0, 1.0, 0.0)
    assert isinstance(verdict, Verdict)
    assert verdict.evidence == b'{"x": "{1}"}'
