"""Aspects that verdicts name as they come: headers add names, differ between calls and replicas, and are bounded."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence

from trainer_client._transport.wire import ExpectedVerifier, ReplyReader
from trainer_client.contract.aspect_names import MOST_NAMES, NOWHERE, AspectNames
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.details import read_aspects, read_cell
from trainer_client.result.outcomes import Outcome, OutcomeStore

DIGEST = "sha256:a"


def reply(
    names: list[str], index: int, values: Mapping[str, float], digest: str = DIGEST
) -> service.ScoreStreamResponse:
    verdict = types.Verdict(score=1.0, code="accepted")
    for name, value in values.items():
        verdict.aspects.add(name=names.index(name), value=value)
    identity = types.VerifierIdentity(name="rubric", version="1", digest=digest, aspects=names)
    return service.ScoreStreamResponse(verifiers=[identity], results=[types.Result(index=index, verdict=verdict)])


def opened(rows: int) -> OutcomeStore:
    store = OutcomeStore(rows, 1)
    for row in range(rows):
        store.state[row] = Outcome.PENDING
    return store


def reader(store: OutcomeStore, rows: Sequence[int], digest: str = DIGEST) -> ReplyReader:
    return ReplyReader(store, [0], rows, [ExpectedVerifier("rubric", digest, 0.0, 1.0)])


def scored(names: list[str], values: Mapping[str, float], digest: str = DIGEST) -> OutcomeStore:
    """A store of one row that a reply with such a header has settled."""
    store = opened(1)
    reader(store, [0], digest).read(reply(names, 0, values, digest), 10.0)
    return store


def columns(store: OutcomeStore) -> dict[str, list[float]]:
    names = store.aspects[0].names
    return {name: list(values) for name, values in read_aspects(store.sources, names, names).items()}


def aspects(store: OutcomeStore, row: int) -> Mapping[str, float | None]:
    return read_cell(store, row, store.aspects[0].names).aspects


def test_later_names_are_added_and_other_orders_are_told_apart() -> None:
    store = opened(3)
    one, other = (reader(store, rows) for rows in ([0, 1], [2]))
    one.read(service.ScoreStreamResponse(verifiers=reply([], 0, {}).verifiers), 10.0)
    one.read(reply(["dose"], 0, {"dose": 0.25}), 10.0)
    one.read(reply(["dose", "tone"], 1, {"dose": 0.5, "tone": 0.75}), 10.0)
    other.read(reply(["tone", "units", "dose"], 2, {"tone": 0.1, "units": 0.2, "dose": 0.3}), 10.0)
    assert store.versions[0][DIGEST].aspects == ("dose", "tone", "units")
    found = columns(store)
    assert list(found) == ["dose", "tone", "units"]
    assert found["dose"] == [0.25, 0.5, 0.3]
    assert found["tone"][1:] == [0.75, 0.1]
    assert found["units"][2] == 0.2


def test_two_versions_of_a_verifier_may_order_their_aspects_differently() -> None:
    store = opened(2)
    reader(store, [0]).read(reply(["dose", "tone"], 0, {"dose": 0.25, "tone": 0.5}), 10.0)
    reader(store, [1], "sha256:b").read(reply(["tone", "dose"], 1, {"dose": 0.75, "tone": 1.0}, "sha256:b"), 10.0)
    assert columns(store) == {"dose": [0.25, 0.75], "tone": [0.5, 1.0]}


def test_tables_of_several_batches_keep_what_each_header_named() -> None:
    one = scored(["dose"], {"dose": 0.25})
    other = scored(["tone", "dose"], {"tone": 0.1, "dose": 0.3})
    packed: OutcomeStore = pickle.loads(pickle.dumps(other))
    joined = OutcomeStore.joined([one, other, packed])
    assert columns(joined)["dose"] == [0.25, 0.3, 0.3]
    assert columns(joined)["tone"][1:] == [0.1, 0.1]
    # Those that were joined are as they were: others may hold them.
    assert columns(other) == {"tone": [0.1], "dose": [0.3]}
    assert columns(packed) == {"tone": [0.1], "dose": [0.3]}


def test_names_beyond_the_bound_of_a_table_are_said_where_they_are() -> None:
    """A rubric of each prompt's own names ever more: the table's columns end, what a verdict says does not."""
    store = opened(3)
    half = MOST_NAMES // 2 + 1
    for row in range(3):
        names = [f"criterion {row}-{n}" for n in range(half)]
        reader(store, [row]).read(reply(names, row, {names[0]: 0.5, names[-1]: 0.25}), 10.0)
    assert len(store.aspects[0].names) == MOST_NAMES
    assert len(store.versions[0][DIGEST].aspects) == MOST_NAMES
    last = f"criterion 2-{half - 1}"
    assert last not in store.aspects[0].names
    assert aspects(store, 2) == {"criterion 2-0": 0.5, last: 0.25}
    assert list(read_aspects(store.sources, store.aspects[0].names, [last])[last])[2] == 0.25
    again = OutcomeStore.joined([scored(["other"], {"other": 1.0}), pickle.loads(pickle.dumps(store))])
    assert [aspects(again, row) for row in range(1, 4)] == [aspects(store, row) for row in range(3)]


def test_a_server_says_names_beyond_the_bound_of_a_header_with_the_verdict() -> None:
    names, verdict = AspectNames(["declared"]), types.Verdict(score=1.0, code="accepted")
    for number in range(MOST_NAMES):
        names.write(verdict, f"n{number}", float(number))
    names.write(verdict, "declared", None)
    assert len(names.names) == MOST_NAMES
    last, declared = verdict.aspects[-2:]
    assert (last.name, last.label) == (NOWHERE, f"n{MOST_NAMES - 1}")
    assert (declared.name, declared.label) == (0, "")
    store = opened(1)
    identity = types.VerifierIdentity(name="rubric", version="1", digest=DIGEST, aspects=names.names)
    told = service.ScoreStreamResponse(verifiers=[identity], results=[types.Result(index=0, verdict=verdict)])
    reader(store, [0]).read(told, 10.0)
    read = aspects(store, 0)
    assert len(read) == MOST_NAMES + 1
    assert read[f"n{MOST_NAMES - 1}"] == MOST_NAMES - 1
    assert read["declared"] is None


def test_a_position_that_no_header_has_is_nobodys_name() -> None:
    store = opened(2)
    reader(store, [0]).read(reply(["dose", "tone"], 0, {"dose": 0.25}), 10.0)
    wrong = reply(["dose"], 1, {"dose": 0.5})
    wrong.results[0].verdict.aspects.add(name=1, value=0.75)
    reader(store, [1]).read(wrong, 10.0)
    assert aspects(store, 1) == {"dose": 0.5, str(NOWHERE): 0.75}


def test_a_verdict_before_any_header_has_no_names() -> None:
    store = opened(1)
    told = reply(["dose"], 0, {"dose": 0.25})
    del told.verifiers[:]
    reader(store, [0]).read(told, 10.0)
    assert aspects(store, 0) == {str(NOWHERE): 0.25}
