"""Driver beside a program of which nothing but calls with known arguments are made."""

from __future__ import annotations

from reward_servers.engines.code._guest.calling import leave, make_calls

make_calls()
leave()
