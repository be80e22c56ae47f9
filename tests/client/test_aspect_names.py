"""Aspects that verdicts name as they come: later headers add names, and two replicas may order them otherwise."""

from __future__ import annotations

from trainer_client._transport.wire import ExpectedVerifier, ReplyReader
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.details import read_aspects
from trainer_client.result.outcomes import Outcome, OutcomeStore


def reply(names: list[str], index: int, values: dict[str, float]) -> service.ScoreStreamResponse:
    verdict = types.Verdict(score=1.0, code="accepted")
    for name, value in values.items():
        verdict.aspects.add(name=names.index(name), value=value)
    identity = types.VerifierIdentity(name="rubric", version="1", digest="sha256:a", aspects=names)
    return service.ScoreStreamResponse(verifiers=[identity], results=[types.Result(index=index, verdict=verdict)])


def test_later_names_are_added_and_other_orders_are_told_apart() -> None:
    store = OutcomeStore(3, 1)
    for row in range(3):
        store.state[row] = Outcome.PENDING
    expected = [ExpectedVerifier("rubric", "sha256:a", 0.0, 1.0)]
    one, other = (ReplyReader(store, [0], rows, expected) for rows in ([0, 1], [2]))
    one.read(service.ScoreStreamResponse(verifiers=reply([], 0, {}).verifiers), 10.0)
    one.read(reply(["dose"], 0, {"dose": 0.25}), 10.0)
    one.read(reply(["dose", "tone"], 1, {"dose": 0.5, "tone": 0.75}), 10.0)
    other.read(reply(["tone", "units", "dose"], 2, {"tone": 0.1, "units": 0.2, "dose": 0.3}), 10.0)
    names = store.versions[0]["sha256:a"].aspects
    assert names == ("dose", "tone", "units")
    found = dict(zip(names, read_aspects(store.sources, len(names)), strict=True))
    assert list(found["dose"]) == [0.25, 0.5, 0.3]
    assert list(found["tone"])[1:] == [0.75, 0.1]
    assert list(found["units"])[2] == 0.2
