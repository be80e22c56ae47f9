"""Methods of the service, and how their messages are coded."""

from __future__ import annotations

from typing import Final

from protos.assay.rewards.v1 import reward_service_pb2 as service

_SERVICE: Final = "/assay.rewards.v1.RewardService/"
SCORE: Final = _SERVICE + "Score"
SCORE_STREAM: Final = _SERVICE + "ScoreStream"
LIST_VERIFIERS: Final = _SERVICE + "ListVerifiers"
GET_SERVER_INFO: Final = _SERVICE + "GetServerInfo"

serialize_request: Final = service.ScoreRequest.SerializeToString
parse_response: Final = service.ScoreResponse.FromString
serialize_chunk: Final = service.ScoreStreamRequest.SerializeToString
parse_results: Final = service.ScoreStreamResponse.FromString
parse_listing: Final = service.ListVerifiersResponse.FromString
parse_info: Final = service.GetServerInfoResponse.FromString
