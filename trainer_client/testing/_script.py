"""What a scripted server is told to do with an item, and the messages that come of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from trainer_client.contract.v1 import types_pb2


@dataclass(frozen=True, slots=True)
class Item:
    """A rollout that is asked about, as it came over the wire.

    Attributes:
        verifier: who is asked.
        rollout_id: the rollout.
        group_id: its group.
        prompt: the prompt, where it is text.
        response: the response, where it is text.
        reference: its reference, or the group's; None when there is none.
        metadata: anything else; None when there is nothing.
        options: options of the evaluation.
        attempt: how often this verifier has been asked about this rollout, from 1.
        group_size: rollouts of the complete group; 0 when the client did not say.
        group_present: rollouts of the group in this request.
        run: label of the request, as are ``step`` and ``seed``.
        step: see ``run``.
        seed: see ``run``.
    """

    verifier: str
    rollout_id: str
    group_id: str
    prompt: str
    response: str
    reference: Any
    metadata: Any
    options: Any
    attempt: int
    group_size: int
    group_present: int
    run: str
    step: int
    seed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score.

    Attributes:
        score: the score.
        code: what was found.
        note: one line for a reader.
        evidence: JSON; None for none.
        aspects: parts of the judgement. The server must know their names: ``FakeServer(aspects=...)``.
        delay_s: seconds until it is answered.
    """

    score: float
    code: str = "accepted"
    note: str = ""
    evidence: Any = None
    aspects: Mapping[str, float] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Fault:
    """No judgement: the code, whose failure it is, and whether trying again may help."""

    code: str
    party: Literal["dataset", "service", "upstream", "caller"] = "service"
    message: str = "as scripted"
    retryable: bool = False
    retry_after_s: float | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Skip:
    """Not judged on purpose."""

    reason: Literal["deadline", "not_needed", "overloaded"]
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The call ends well, but without a result for the item."""


@dataclass(frozen=True, slots=True)
class EndCall:
    """The whole call ends with a status, such as ``"UNAVAILABLE"`` or ``"INTERNAL"``."""

    status: str
    message: str = "as scripted"


Outcome: TypeAlias = Verdict | Fault | Skip | NoAnswer | EndCall
Script: TypeAlias = Callable[[Item], "Outcome | float"]
"""What becomes of an item; a number is a verdict with that score. Runs on the server's loop."""


def by_response(item: Item) -> Outcome:
    """Script of rollouts that say themselves what becomes of them: the response is a JSON object.

    Its keys are those of `Verdict`, or of `Fault` with ``fault`` for the code, and ``times`` for how often the fault
    comes before the verdict::

        {"score": 0.5, "delay_s": 2.0}
        {"fault": "busy", "party": "upstream", "retryable": true, "times": 1, "score": 1.0}

    Any other text has its number of characters / 1000 as score.
    """
    if not item.response.startswith("{"):
        return Verdict(len(item.response) / 1000)
    script = json.loads(item.response)
    code, times = script.pop("fault", ""), script.pop("times", None)
    if code and (times is None or item.attempt <= times):
        script.pop("score", None)
        return Fault(code, **script)
    return Verdict(script.get("score", 0.0), script.get("code", "accepted"), delay_s=script.get("delay_s", 0.0))


def message_of(
    outcome: Verdict | Fault | Skip, index: int, evaluation: int, aspects: tuple[str, ...]
) -> types_pb2.Result:
    """The result that says an outcome on the wire."""
    result = types_pb2.Result(index=index, evaluation=evaluation, queue_us=10, run_us=20)
    if isinstance(outcome, Skip):
        result.skip.reason = types_pb2.SkipReason.Value(f"SKIP_REASON_{outcome.reason.upper()}")
    elif isinstance(outcome, Fault):
        result.fault.code = outcome.code
        result.fault.party = types_pb2.Party.Value(f"PARTY_{outcome.party.upper()}")
        result.fault.message = outcome.message
        result.fault.retryable = outcome.retryable
        if outcome.retry_after_s is not None:
            result.fault.retry_after.FromNanoseconds(int(outcome.retry_after_s * 1e9))
    else:
        result.verdict.score = outcome.score
        result.verdict.code = outcome.code
        result.verdict.note = outcome.note
        if outcome.evidence is not None:
            result.verdict.evidence_json = json.dumps(outcome.evidence).encode()
        for name, value in outcome.aspects.items():
            result.verdict.aspects.add(name=aspects.index(name), value=value)
    return result
