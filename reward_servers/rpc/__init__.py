"""The gRPC faces of the core: thin, and the only place of the server that knows messages."""

from reward_servers.rpc._certificates import ServerCertificates
from reward_servers.rpc._clients import Caller, Clients, NotAllowedError, bearer
from reward_servers.rpc._listening import bind_problem, listen
from reward_servers.rpc._servicer import RewardServicer
from reward_servers.rpc._standard import Lenient, add_standard_services, say_hosted

__all__ = [
    "Caller",
    "Clients",
    "Lenient",
    "NotAllowedError",
    "RewardServicer",
    "ServerCertificates",
    "add_standard_services",
    "bearer",
    "bind_problem",
    "listen",
    "say_hosted",
]
