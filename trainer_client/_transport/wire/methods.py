"""Methods of the service, and how their messages are coded."""

from __future__ import annotations

from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from trainer_client._transport.failures import UnusableReplyError
from trainer_client.contract.v1 import reward_service_pb2 as service

_SERVICE: Final = "/assay.rewards.v1.RewardService/"
SCORE: Final = _SERVICE + "Score"
SCORE_STREAM: Final = _SERVICE + "ScoreStream"
LIST_VERIFIERS: Final = _SERVICE + "ListVerifiers"
GET_SERVER_INFO: Final = _SERVICE + "GetServerInfo"

serialize_request: Final = service.ScoreRequest.SerializeToString
serialize_chunk: Final = service.ScoreStreamRequest.SerializeToString

info_request: Final = service.GetServerInfoRequest.SerializeToString

_M = TypeVar("_M", bound=Message)


def parse_response(raw: bytes) -> service.ScoreResponse:
    """Read the answer of a unary call: see `_parsed`."""
    return _parsed(service.ScoreResponse, raw)


def parse_results(raw: bytes) -> service.ScoreStreamResponse:
    """Read an answer of a stream: see `_parsed`."""
    return _parsed(service.ScoreStreamResponse, raw)


def parse_listing(raw: bytes) -> service.ListVerifiersResponse:
    """Read a list of verifiers: see `_parsed`."""
    return _parsed(service.ListVerifiersResponse, raw)


def parse_info(raw: bytes) -> service.GetServerInfoResponse:
    """Read a server's state: see `_parsed`."""
    return _parsed(service.GetServerInfoResponse, raw)


def _parsed(kind: type[_M], raw: bytes) -> _M:
    """Read a message here and not in gRPC, which gives None for what it cannot read.

    Raises:
        UnusableReplyError: the bytes are no such message.
    """
    try:
        return kind.FromString(raw)
    except DecodeError as error:
        raise UnusableReplyError(f"{len(raw)} bytes that are no {kind.DESCRIPTOR.name}: {error}") from None
