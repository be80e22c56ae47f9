"""Driver beside a program that test code talks to; without a conversation it makes the calls of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reward_servers.engines.code._guest.calling import leave, make_calls
from reward_servers.engines.code._guest.session import serve

if TYPE_CHECKING:
    request = b""

if request:
    make_calls()
else:
    serve()
leave()
