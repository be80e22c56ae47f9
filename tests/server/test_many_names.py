"""A verifier that names ever more aspects costs neither the header of a call, nor a table, nor its neighbours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import numpy as np
import pytest

from reward_servers.config import load_config
from reward_servers.server import Running, running
from tests.server.many_names import NAMES_OF_AN_ITEM
from tests.typed import stub_of
from trainer_client import AsyncRewardClient, Recipe, Reward, Rollout
from trainer_client.contract.aspect_names import MOST_NAMES
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.checkpoint import keep_rows, restore_rows

ITEMS = 50
assert ITEMS * NAMES_OF_AN_ITEM == 10_000
LAST = ITEMS - 1
HOSTED = ("tests.server.many_names:naming", "tests.server.many_names:plain")
ROLLOUTS = [
    Rollout(str(n), f"q{n // 5}", f"r{n}", group_id=f"g{n // 5}", reference={"answer": f"r{n - n % 2}"})
    for n in range(ITEMS)
]
OPTIONS = [("grpc.max_receive_message_length", -1)]


@asynccontextmanager
async def serving() -> AsyncIterator[Running]:
    async with running(load_config(workers=1), HOSTED) as server:
        yield server


def asked() -> pb.ScoreRequest:
    """All rollouts, of both verifiers."""
    evaluations = [types.Evaluation(verifier=name) for name in ("test/naming", "test/plain")]
    request = pb.ScoreRequest(evaluations=evaluations)
    for place, one in enumerate(ROLLOUTS):
        group = request.groups.add(group_id=str(place), size=1, reference_json=json.dumps(one.reference).encode())
        group.rollouts.add(index=place, rollout_id=one.rollout_id, response=types.Content(text=f"r{place}"))
    return request


async def chunk() -> AsyncIterator[pb.ScoreStreamRequest]:
    yield pb.ScoreStreamRequest(chunk=asked())


def named(result: types.Result, names: list[str]) -> dict[str, float]:
    """The aspects of a verdict, as another reader of the contract reads them."""
    return {one.label or names[one.name]: one.value for one in result.verdict.aspects}


@pytest.mark.parametrize("method", ["Score", "ScoreStream"])
async def test_a_header_names_so_many_aspects_and_verdicts_say_the_others(method: str) -> None:
    async with serving() as server, grpc.aio.insecure_channel(server.address, options=OPTIONS) as channel:
        stub = stub_of(channel)
        answers: list[pb.ScoreResponse | pb.ScoreStreamResponse]
        answers = [await stub.Score(asked())] if method == "Score" else [one async for one in stub.ScoreStream(chunk())]
    headers = [one.verifiers for one in answers if one.verifiers]
    naming, plain = headers[-1]
    assert len(naming.aspects) == MOST_NAMES
    assert not plain.aspects
    # A header comes again only when names were added: each adds one at least, and none follows the bound.
    sizes = [len(header[0].aspects) for header in headers]
    assert sizes == sorted(set(sizes))
    results = [result for one in answers for result in one.results]
    of_naming = [result for result in results if result.evaluation == 0]
    assert len(of_naming) == ITEMS
    for result in of_naming:
        told = named(result, list(naming.aspects))
        assert told.pop("count") == NAMES_OF_AN_ITEM
        assert told == {f"r{result.index} {n}": n / NAMES_OF_AN_ITEM for n in range(NAMES_OF_AN_ITEM)}


async def test_a_table_has_so_many_columns_and_every_verdict_all_that_it_was_given() -> None:
    last = f"r{LAST} {NAMES_OF_AN_ITEM - 1}"
    rewards = (
        Reward("named", "test/naming"),
        Reward("last", "test/naming", aspect=last, required=False),
        Reward("right", "test/plain"),
    )
    recipe = Recipe(rewards, max_missing=1.0)
    async with serving() as server, AsyncRewardClient(recipe, server.address) as client:
        table = await client.score(ROLLOUTS)
    np.testing.assert_array_equal(table.scores[:, 2], [1.0, 0.0] * (ITEMS // 2))
    assert not table.aspects("right")
    assert len(table.aspects("named")) == MOST_NAMES
    for row in range(ITEMS):
        told = dict(table.cell(row, "named").aspects)
        assert len(told) == NAMES_OF_AN_ITEM + 1
        assert told[f"r{row} 7"] == 7 / NAMES_OF_AN_ITEM
    # One that has no column is read all the same: by its name, and as a reward of its own.
    for read in (table.aspect("named", last), table.scores[:, 1]):
        assert read[LAST] == pytest.approx(1 - 1 / NAMES_OF_AN_ITEM)
        assert np.isnan(read[:LAST]).all()
    kept = json.loads(json.dumps(keep_rows(table, range(ITEMS - 5, ITEMS))))
    again = restore_rows(kept, ROLLOUTS[-5:], recipe, {}, None, 0)
    assert [again.cell(row, "named") for row in range(5)] == [table.cell(ITEMS - 5 + row, "named") for row in range(5)]
