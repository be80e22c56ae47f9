"""The gRPC faces of the core: thin, and the only place of the server that knows messages."""

from reward_servers.services._reward import RewardServicer

__all__ = ["RewardServicer"]
