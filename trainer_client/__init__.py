"""The trainer's side: score rollouts on reward servers, and make a training signal of the scores.

The nouns: a `Rollout` is one response to a prompt; a `Recipe` says which verifiers score which rollouts and how the
scores combine; a `RewardClient` (or `AsyncRewardClient`) sends rollouts to the servers and gives a `ScoreTable` with
scores, codes, times and versions, and the rewards and advantages that follow. ``trainer_client.signals`` turns scores
into training signals; ``trainer_client.adapters`` fits all this into trainers.

    from trainer_client import RewardClient, read_rollouts

    with RewardClient("recipe.toml", {"math": "127.0.0.1:50051"}) as client:
        table = client.score(read_rollouts("rollouts.jsonl").rollouts)
    table.advantages

Imports grpcio, protobuf, numpy and the standard library, nothing else.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trainer_client._errors import (
    BlockingCallError,
    ClientClosedError,
    ForkedProcessError,
    RecipeError,
    RequestRejectedError,
    RewardError,
    RolloutError,
    ServerUnavailableError,
    StateError,
)
from trainer_client._version import __version__ as __version__

if TYPE_CHECKING:
    from trainer_client._client.asynchronous import AsyncRewardClient
    from trainer_client._client.blocking import RewardClient
    from trainer_client._client.describe import describe_server
    from trainer_client._node.client import SharedRewardClient
    from trainer_client._settings import TLS, Batching, Endpoints, Retries, read_token
    from trainer_client.recipe.recipe import Recipe
    from trainer_client.recipe.rewards import Reward, Server
    from trainer_client.result.details import Cell
    from trainer_client.result.outcomes import Outcome
    from trainer_client.result.rollout_result import RolloutResult
    from trainer_client.result.summary import RewardSummary, Summary
    from trainer_client.result.table import IncompleteBatchError, ScoreTable
    from trainer_client.result.verifiers import (
        ClientActivity,
        ServerInfo,
        SlowItem,
        VerifierActivity,
        VerifierId,
        VerifierInfo,
    )
    from trainer_client.rollout.files import LineProblem, RolloutFile, read_rollouts
    from trainer_client.rollout.types import Document, Rollout
    from trainer_client.signals import advantages

_HOME = {
    "_client.asynchronous": ("AsyncRewardClient",),
    "_client.blocking": ("RewardClient",),
    "_client.describe": ("describe_server",),
    "_node.client": ("SharedRewardClient",),
    "_settings": ("TLS", "Batching", "Endpoints", "Retries", "read_token"),
    "recipe.recipe": ("Recipe",),
    "recipe.rewards": ("Reward", "Server"),
    "result.details": ("Cell",),
    "result.outcomes": ("Outcome",),
    "result.rollout_result": ("RolloutResult",),
    "result.summary": ("RewardSummary", "Summary"),
    "result.table": ("IncompleteBatchError", "ScoreTable"),
    "result.verifiers": ("ClientActivity", "ServerInfo", "SlowItem", "VerifierActivity", "VerifierId", "VerifierInfo"),
    "rollout.files": ("LineProblem", "RolloutFile", "read_rollouts"),
    "rollout.types": ("Document", "Rollout"),
    "signals": ("advantages",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "TLS",
    "AsyncRewardClient",
    "Batching",
    "BlockingCallError",
    "Cell",
    "ClientActivity",
    "ClientClosedError",
    "Document",
    "Endpoints",
    "ForkedProcessError",
    "IncompleteBatchError",
    "LineProblem",
    "Outcome",
    "Recipe",
    "RecipeError",
    "RequestRejectedError",
    "Retries",
    "Reward",
    "RewardClient",
    "RewardError",
    "RewardSummary",
    "Rollout",
    "RolloutError",
    "RolloutFile",
    "RolloutResult",
    "ScoreTable",
    "Server",
    "ServerInfo",
    "ServerUnavailableError",
    "SharedRewardClient",
    "SlowItem",
    "StateError",
    "Summary",
    "VerifierActivity",
    "VerifierId",
    "VerifierInfo",
    "advantages",
    "describe_server",
    "read_rollouts",
    "read_token",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first used: a recipe can be read without loading gRPC."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
