"""Texts of a message that are no UTF-8."""

from __future__ import annotations

from typing import Any, cast

import pytest
from google.protobuf.message import DecodeError

from reward_servers.core import RequestError
from reward_servers.rpc._intake import parse
from reward_servers.rpc._unreadable import with_readable_texts
from trainer_client.contract.v1 import reward_service_pb2 as pb
from trainer_client.contract.v1 import types_pb2 as types

KIND = cast("Any", pb.ScoreRequest.DESCRIPTOR)


def _request(texts: list[str]) -> pb.ScoreRequest:
    request = pb.ScoreRequest(
        request_id="r", seed=7, evaluations=[types.Evaluation(verifier="v", options_json=b"\xff")]
    )
    group = request.groups.add(group_id="g", size=len(texts), prompt=types.Content(text="é"))
    for index, text in enumerate(texts):
        turn = types.Message(role="user", parts=[types.Part(text=text)])
        content = types.Content(messages=types.MessageList(messages=[turn])) if index % 2 else types.Content(text=text)
        group.rollouts.add(index=index, response=content, token_ids=[1, 300], metadata_json=b"\xc3")
    return request


@pytest.mark.parametrize("length", [1, 60, 130, 20_000])
def test_bytes_that_are_no_utf8_are_read_as_replacement_characters(length: int) -> None:
    texts = ["whole é", "@" * length, f"@ and {'x' * length}", "\U0001f600"]
    data = _request(texts).SerializeToString().replace(b"@", b"\xff")
    with pytest.raises(DecodeError):
        pb.ScoreRequest.FromString(data)
    assert parse(pb.ScoreRequest, data) == _request([text.replace("@", "\ufffd") for text in texts])


def test_what_is_wrong_otherwise_is_no_text() -> None:
    whole = _request(["@ and more"]).SerializeToString()
    assert with_readable_texts(KIND, whole) is None
    broken = whole.replace(b"@", b"\xff")
    for data in (broken[:-1], broken + b"\xff", broken + b"\x0b", b"\x0a\x7f\xff", b"\xff" * 40):
        assert with_readable_texts(KIND, data) is None
        with pytest.raises(RequestError, match=r"cannot be read as assay\.rewards\.v1\.ScoreRequest"):
            parse(pb.ScoreRequest, data)
