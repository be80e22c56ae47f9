"""What type checkers cannot see: decorated classes are verifiers, stubs of asynchronous channels are asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import grpc.aio

from reward_servers.core import Verifier
from trainer_client.contract.v1 import reward_service_pb2_grpc as rpc

if TYPE_CHECKING:
    from trainer_client.contract.v1.reward_service_pb2_grpc import RewardServiceAsyncStub


def declared(found: object) -> Verifier:
    """What ``@verifier`` has made of a class: checkers ignore what a decorator of a class returns."""
    assert isinstance(found, Verifier)
    return found


def stub_of(channel: grpc.aio.Channel) -> RewardServiceAsyncStub:
    """The stub of a channel; its class has one name for both kinds of channel."""
    return cast("RewardServiceAsyncStub", rpc.RewardServiceStub(channel))
