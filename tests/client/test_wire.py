"""What goes over the wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.client.conftest import rollouts_of
from tests.client.scripted_server import Scripted
from trainer_client import (
    AsyncRewardClient,
    Batching,
    Document,
    Recipe,
    Reward,
    Rollout,
    RolloutError,
)
from trainer_client._transport.encoding import encode_json

Serve = Callable[..., Any]
LENIENT = Recipe(rewards=(Reward("main", "echo"),), max_missing=1.0)


async def sent(serve: Serve, rollouts: list[Rollout], recipe: Recipe = LENIENT, **options: Any) -> tuple[Any, Scripted]:
    service = Scripted()
    async with AsyncRewardClient(recipe, await serve(service), **options) as client:
        return await client.score(rollouts), service


async def test_what_a_group_shares_travels_once(serve: Serve) -> None:
    documents = [Document("d", "long text", "T", "u")]
    rollouts = [
        Rollout(f"r{n}", "p", "x", "g", reference={"answer": "2"}, documents=list(documents), metadata={"n": n},
                finish_reason="stop", token_ids=[n])
        for n in range(3)
    ]  # fmt: skip
    _, service = await sent(serve, rollouts)
    (group,) = service.requests[0].groups
    assert (group.group_id, group.size, group.prompt.text) == ("g", 3, "p")
    assert json.loads(group.reference_json) == {"answer": "2"}
    assert [d.text for d in group.documents] == ["long text"]
    assert [r.reference_json for r in group.rollouts] == [b""] * 3
    assert [json.loads(r.metadata_json) for r in group.rollouts] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [(r.finish_reason, list(r.token_ids), len(r.documents)) for r in group.rollouts] == [
        ("stop", [n], 0) for n in range(3)
    ]


async def test_what_differs_travels_with_the_rollout(serve: Serve) -> None:
    rollouts = [
        Rollout("a", "p", "x", "g", reference=1),
        Rollout("b", "p", "x", "g", reference=True, documents=[Document("d", "t")]),
        Rollout("c", "p", "x", "g"),
    ]
    _, service = await sent(serve, rollouts)
    (group,) = service.requests[0].groups
    assert (group.reference_json, len(group.documents)) == (b"", 0)
    assert [r.reference_json for r in group.rollouts] == [b"1", b"true", b""]
    assert [len(r.documents) for r in group.rollouts] == [0, 1, 0]


async def test_conversations(serve: Serve) -> None:
    image = base64.b64encode(b"png").decode()
    response: list[dict[str, Any]] = [
        {"role": "assistant", "reasoning_content": "hm", "content": "let me see",
         "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": 1}}}]},
        {"role": "tool", "tool_call_id": "c1", "name": "f", "content": [{"type": "text", "text": "2"}]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "so"}, {"type": "reasoning", "text": "thus"},
            {"type": "text", "text": "2"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]},
    ]  # fmt: skip
    _, service = await sent(serve, [Rollout("a", [{"role": "user", "content": "q"}], response)])
    request = service.requests[0]
    first, tool, last = request.groups[0].rollouts[0].response.messages.messages
    assert [(p.reasoning, p.text) for p in first.parts] == [("hm", ""), ("", "let me see")]
    assert [(c.id, c.name, c.arguments) for c in first.tool_calls] == [("c1", "f", '{"x": 1}')]
    assert (tool.role, tool.tool_call_id, tool.parts[0].text) == ("tool", "c1", "2")
    assert [p.WhichOneof("content") for p in last.parts] == ["reasoning", "reasoning", "text", "blob"]
    assert request.blobs[0].digest == last.parts[3].blob.digest
    assert (request.blobs[0].inline, request.blobs[0].mime) == (b"png", "image/png")


async def test_calls_are_cut_by_items_and_bytes_and_keep_groups_together(serve: Serve) -> None:
    rollouts = rollouts_of(["x" * 1000] * 96, group=8)
    _, service = await sent(serve, rollouts, batching=Batching(max_items=20))
    assert {len(r.groups) for r in service.requests} == {2}
    assert all(len(g.rollouts) == 8 for r in service.requests for g in r.groups)
    _, service = await sent(serve, rollouts, batching=Batching(max_bytes=20_000))
    assert {r.ByteSize() < 20_000 for r in service.requests} == {True}
    assert all(len(g.rollouts) == 8 for r in service.requests for g in r.groups)
    _, service = await sent(serve, rollouts, batching=Batching(max_items=3))
    assert max(len(g.rollouts) for r in service.requests for g in r.groups) == 3


async def test_a_servers_limits_are_kept(serve: Serve) -> None:
    service = Scripted()
    service.max_items = 5
    async with AsyncRewardClient(LENIENT, await serve(service)) as client:
        await client.score(rollouts_of(["x"] * 40))
    assert max(sum(len(g.rollouts) for g in r.groups) for r in service.requests) <= 5


async def test_large_messages_pass(serve: Serve) -> None:
    table, service = await sent(serve, rollouts_of(["x" * 10_000_000, "y" * 6_000_000, "z"]))
    assert table.scores[:, 0].tolist() == [10_000.0, 6_000.0, 0.001]
    assert sorted(len(r.groups[0].rollouts) for r in service.requests) == [1, 1, 1]


async def test_one_item_that_cannot_be_sent_costs_no_other(serve: Serve) -> None:
    rollouts = [
        Rollout("nan", "p", "x", reference={"answer": float("nan")}),
        Rollout("object", "p", "x", metadata={"key": object()}),
        Rollout("surrogate", "p\ud800", "\ud83d\ude00 \udc00!", "g\ud800"),
        Rollout("numpy", "p", "x", reference={"answer": np.float32(0.5), "all": np.arange(2)}),
        Rollout("empty", "", ""),
    ]
    table, service = await sent(serve, rollouts)
    assert table.codes[:, 0].tolist() == ["bad_reference", "bad_metadata", "accepted", "accepted", "accepted"]
    assert table.parties[:2, 0].tolist() == ["dataset", "dataset"]
    groups = {g.rollouts[0].rollout_id: g for r in service.requests for g in r.groups if g.rollouts}
    assert groups["surrogate"].rollouts[0].response.text == "\U0001f600 \ufffd!"
    assert json.loads(groups["numpy"].reference_json) == {"answer": 0.5, "all": [0, 1]}


async def test_rollouts_that_do_not_fit_together_are_refused(serve: Serve) -> None:
    with pytest.raises(RolloutError, match="rollout 'b': prompt: differs"):
        await sent(serve, [Rollout("a", "p", "x", "g"), Rollout("b", "q", "x", "g")])
    with pytest.raises(RolloutError, match="rollout 'a': rollout_id: occurs twice"):
        await sent(serve, [Rollout("a", "p", "x"), Rollout("a", "p", "x")])


async def test_an_empty_batch_is_an_empty_table(serve: Serve) -> None:
    table, service = await sent(serve, [])
    assert (table.scores.shape, table.advantages.shape) == ((0, 1), (0,))
    assert not service.requests


async def test_verifiers_that_take_microseconds_answer_at_once(serve: Serve) -> None:
    service = Scripted()
    service.cost = "trivial"
    service.refusals = 1
    scripts = [json.dumps({"score": n / 64, "overloaded": n % 2}) for n in range(64)]
    async with AsyncRewardClient(LENIENT, await serve(service)) as client:
        table = await client.score(rollouts_of(scripts))
    np.testing.assert_array_equal(table.scores[:, 0], np.arange(64) / 64)
    assert service.unary_calls >= 2
    assert service.stream_calls == 0


async def test_labels_options_and_limits_reach_the_server(serve: Serve) -> None:
    recipe = Recipe(rewards=(Reward("main", "echo@1", options={"b": 1, "a": "ü"}, max_cpu_s=1.5),))
    service = Scripted()
    async with AsyncRewardClient(recipe, await serve(service)) as client:
        await client.score(rollouts_of(["x"] * 2), run="run-7", step=3, seed=11)
    request = service.requests[0]
    evaluation = request.evaluations[0]
    assert (request.run, request.step, request.seed) == ("run-7", 3, 11)
    assert (evaluation.version_constraint, evaluation.expected_digest) == ("1", "d1")
    assert json.loads(evaluation.options_json) == {"b": 1, "a": "ü"}
    assert evaluation.item_limit.ToMilliseconds() == 1500


def test_a_reference_is_written_as_json_writes_it() -> None:
    texts = ["", '"', "\\", "\n\t\x00\x1f\x7f", "é", "\u2028", "😀", "</s>", "{}", "1" * 5000]
    for value in [{text: other} for text in texts for other in (*texts, 1, 1.5, True, None, [1], {"a": "b"})]:
        assert encode_json(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    with pytest.raises(ValueError, match="surrogates"):
        encode_json({"answer": "\ud83d"})


async def test_the_same_bytes_as_two_types_of_media_are_two_blobs(serve: Serve) -> None:
    data = base64.b64encode(b"<svg/>").decode()
    kinds = ["image/svg+xml", "text/xml", "image/svg+xml"]
    parts = [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}} for kind in kinds]
    _, service = await sent(serve, [Rollout("a", "q", [{"role": "assistant", "content": parts}])])
    request = service.requests[0]
    mimes = {blob.digest: blob.mime for blob in request.blobs}
    (message,) = request.groups[0].rollouts[0].response.messages.messages
    assert [mimes[part.blob.digest] for part in message.parts] == kinds
    assert len(request.blobs) == 2
