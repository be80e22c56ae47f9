"""Rollouts as they are read from messages."""

from __future__ import annotations

import copy
import pickle

import pytest

from reward_servers.core import RequestError, Rollout
from reward_servers.wire import GroupReader
from reward_servers.wire._read import read_rollouts
from trainer_client.contract.v1 import types_pb2 as types


def _message() -> types.Group:
    group = types.Group(group_id="g", reference_json=b'{"answer": "a"}', prompt=types.Content(text="why"))
    group.rollouts.add(
        index=7,
        rollout_id="r",
        response=types.Content(text="because"),
        finish_reason="stop",
        reference_json=b'{"answer": "b"}',
        token_ids=[1, 2],
        metadata_json=b'{"k": 1}',
        documents=[types.Document(id="d", text="told")],
    )
    return group


def _read(group: types.Group) -> tuple[Rollout, int]:
    read = GroupReader().read([group])
    return read.groups[0].rollouts[0], read.indices[0]


def test_whatever_is_asked_of_a_rollout_is_what_was_sent_and_outlives_its_message() -> None:
    message = _message()
    rollout, index = _read(message)
    del message
    assert (index, rollout.response, rollout.rollout_id, rollout.finish_reason) == (7, "because", "r", "stop")
    assert (rollout.reference, tuple(rollout.token_ids), rollout.metadata) == (b'{"answer": "b"}', (1, 2), {"k": 1})
    assert [one.text for one in rollout.documents] == ["told"]
    with pytest.raises(AttributeError, match="nothing"):
        rollout.nothing  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_rollout_travels_as_a_plain_one(again: object) -> None:
    rollout, _ = _read(_message())
    made = again(rollout)  # type: ignore[operator]
    assert type(made) is Rollout
    assert (made.rollout_id, made.metadata, made.own_documents) == ("r", {"k": 1}, rollout.own_documents)


def test_a_blob_that_is_not_there_is_the_calls_mistake_before_any_verifier_sees_it() -> None:
    message = _message()
    message.rollouts[0].documents[0].blob.digest = "sha256:0"
    with pytest.raises(RequestError, match="none has digest"):
        _read(message)


def test_one_digest_names_one_blob_in_all_chunks_of_a_call() -> None:
    reader = GroupReader()
    png = types.Blob(digest="sha256:1", mime="image/png", inline=b"a")
    reader.take_blobs([png, png])
    reader.take_blobs([png])
    for other in (
        types.Blob(digest="sha256:1", inline=b"b", mime="image/png"),
        types.Blob(digest="sha256:1", inline=b"a"),
    ):
        with pytest.raises(RequestError, match=r"blobs\[0\]\.digest: .* names two different blobs"):
            reader.take_blobs([other])


def _texts(sizes: list[int]) -> list[types.Group]:
    groups, index = [], 0
    for number, size in enumerate(sizes):
        group = types.Group(group_id=f"g{number}", size=size, prompt=types.Content(text="why"), reference_json=b'"r"')
        for _ in range(size):
            group.rollouts.add(index=index, rollout_id=f"r{index}", response=types.Content(text=f"because {index}"))
            index += 1
        groups.append(group)
    return groups


def test_what_workers_read_by_themselves_is_what_is_read_here() -> None:
    messages = _texts([3, 1, 0, 4])
    read = GroupReader().read(messages, later=True)
    plain = [rollout for group in GroupReader().read(messages).groups for rollout in group]
    assert read.source is not None
    assert list(read.indices) == list(range(8))
    assert [len(group) for group in read.groups] == [3, 1, 0, 4]
    for first in range(8):
        assert read.source.rollout(first) == plain[first]
        for last in range(first + 1, 9):
            pieces = read.source.pieces(first, last)
            assert [one for piece in pieces for one in read_rollouts(piece)] == plain[first:last]
    assert [rollout for group in read.groups for rollout in group] == plain


@pytest.mark.parametrize("field", ["messages", "documents", "shared documents", "marks", "prompt"])
def test_groups_with_more_than_texts_are_read_at_once(field: str) -> None:
    (message,) = _texts([2])
    if field == "messages":
        message.rollouts[1].response.messages.messages.add(role="assistant")
    elif field == "documents":
        message.rollouts[1].documents.add(id="d")
    elif field == "shared documents":
        message.documents.add(id="d")
    elif field == "marks":
        message.reasoning_marks.add(open="<a>", close="</a>")
    else:
        message.prompt.messages.messages.add(role="user")
    assert GroupReader().read([message], later=True).source is None


def test_an_index_that_is_used_twice_is_refused_however_groups_are_read() -> None:
    (message,) = _texts([2])
    message.rollouts[1].index = 0
    for later in (False, True):
        with pytest.raises(RequestError, match="index 0 is used twice"):
            GroupReader().read([message], later=later)
