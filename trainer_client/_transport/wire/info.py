"""What a server says of itself and of its verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from protos.assay.rewards.v1 import reward_service_pb2 as service
from protos.assay.rewards.v1 import types_pb2 as types
from trainer_client._outcomes import VerifierId


class VerifierInfo(NamedTuple):
    """What a server says of a verifier.

    Attributes:
        id: name, version, digest, aspects.
        judges_groups: whether it judges the rollouts of a prompt together.
        is_trivial: whether a judgement takes microseconds, so that none holds up others.
        floor: its score for a candidate that gave nothing to judge.
        description: what it judges, in a sentence.
        score_min: its lowest score.
        score_max: its highest score.
    """

    id: VerifierId
    judges_groups: bool
    is_trivial: bool
    floor: float
    description: str
    score_min: float
    score_max: float


class ServerInfo(NamedTuple):
    """What a server says of itself; 0 where it sets no limit."""

    verifiers: Mapping[str, VerifierInfo]
    max_items: int
    max_message_bytes: int
    suggested_items: int
    items_limit: int
    draining: bool


def read_facts(listing: service.ListVerifiersResponse, info: service.GetServerInfoResponse) -> ServerInfo:
    """Read what a server says of itself and of its verifiers."""
    return ServerInfo(
        verifiers={
            entry.identity.name: VerifierInfo(
                id=read_id(entry.identity),
                judges_groups=entry.scope == service.SCOPE_GROUP,
                is_trivial=entry.cost_class == service.COST_CLASS_TRIVIAL,
                floor=entry.floor,
                description=entry.description,
                score_min=entry.score_min,
                score_max=entry.score_max,
            )
            for entry in listing.verifiers
        },
        max_items=info.limits.max_items,
        max_message_bytes=info.limits.max_message_bytes,
        suggested_items=info.limits.suggested_items,
        items_limit=info.load.items_limit,
        draining=info.load.draining,
    )


def read_id(identity: types.VerifierIdentity) -> VerifierId:
    """Read which verifier answers."""
    return VerifierId(identity.name, identity.version, identity.digest, tuple(identity.aspects))
