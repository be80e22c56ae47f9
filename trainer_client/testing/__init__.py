"""A reward server whose every outcome is scripted, for tests of code that scores rollouts.

    from trainer_client import RewardClient
    from trainer_client.testing import FakeServer, Fault

    def script(item):
        return Fault("judge_unavailable", retryable=True) if item.attempt == 1 else len(item.response) / 100

    with FakeServer({"judge": script}) as server, RewardClient("recipe.toml", server.address) as client:
        table = client.score(rollouts)
    server.items[0].reference

It speaks the real protocol over real gRPC on loopback: what is tested is the client as it is. Nothing of the servers is
imported.
"""

from trainer_client.testing._script import (
    EndCall,
    Fault,
    Item,
    NoAnswer,
    Outcome,
    Script,
    Skip,
    Verdict,
    by_response,
)
from trainer_client.testing._server import FakeServer

__all__ = ["EndCall", "FakeServer", "Fault", "Item", "NoAnswer", "Outcome", "Script", "Skip", "Verdict", "by_response"]
