"""A registry: servers announce themselves to it, clients ask it where they are.

For fleets without a discovery of their own. `Registry` keeps what was announced until its lease ends, `serving` is the
process around it, `Announcer` is the part of a server that announces it.
"""

from reward_servers.registry._address import OwnAddress
from reward_servers.registry._announcer import Announcer
from reward_servers.registry._process import serve_registry, serving
from reward_servers.registry._registry import MOST_BYTES, MOST_OF_ONE, MOST_SERVERS, FullError, Registry, TakenError
from reward_servers.registry._state import Entry

__all__ = [
    "MOST_BYTES",
    "MOST_OF_ONE",
    "MOST_SERVERS",
    "Announcer",
    "Entry",
    "FullError",
    "OwnAddress",
    "Registry",
    "TakenError",
    "serve_registry",
    "serving",
]
