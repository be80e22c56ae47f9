"""The gRPC faces of the core: thin, and the only place of the server that knows messages."""

from reward_servers.services._clients import Clients
from reward_servers.services._reward import RewardServicer
from reward_servers.services._standard import add_standard_services

__all__ = ["Clients", "RewardServicer", "add_standard_services"]
