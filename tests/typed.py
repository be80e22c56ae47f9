"""What type checkers cannot see: verifiers of decorated classes, stubs of asynchronous channels, names of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

import grpc.aio
from pydantic import BaseModel

from reward_servers.core import Verifier
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from trainer_client.contract.v1.reward_service_pb2_grpc import RewardServiceAsyncStub

M = TypeVar("M", bound=BaseModel)


def declared(found: object) -> Verifier:
    """What ``@verifier`` has made of a class: checkers ignore what a decorator of a class returns."""
    assert isinstance(found, Verifier)
    return found


def stub_of(channel: grpc.aio.Channel) -> RewardServiceAsyncStub:
    """The stub of a channel; its class has one name for both kinds of channel."""
    return cast("RewardServiceAsyncStub", rpc.RewardServiceStub(channel))


def changed(settings: M, **fields: object) -> M:
    """Settings with other values of fields that they have; pydantic's own copy takes any name, and ignores it."""
    unknown = fields.keys() - type(settings).model_fields.keys()
    assert not unknown, f"{type(settings).__name__} has no {', '.join(sorted(unknown))}"
    return settings.model_copy(update=fields)
