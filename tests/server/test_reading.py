"""Rollouts as they are read from messages."""

from __future__ import annotations

import copy
import pickle

import pytest

from reward_servers.core import RequestError, Rollout
from reward_servers.rpc._wire import GroupReader
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
    groups, indices = GroupReader().read([group])
    return groups[0].rollouts[0], indices[0]


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
