"""The metrics of a supervisor: which servers run, how often they were started again, and where their metrics are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from reward_servers.core import SettingsError
from reward_servers.observe._exposition import CONTENT_TYPE, Family, exposition
from reward_servers.observe._http import MetricsServer
from reward_servers.observe._server_metrics import process_families

_HOST = "127.0.0.1"

States = Callable[[], Mapping[str, tuple[bool, int]]]
"""For each server, by its label, whether it runs and how often it was started again."""


@asynccontextmanager
async def fleet_metrics(states: States, port: int | None) -> AsyncIterator[None]:
    """Serve ``/metrics`` of a supervisor, and ``/targets``, by which Prometheus finds those of its servers.

    Args:
        states: Tells how the servers are.
        port: Where; the servers' own metrics are on the ports that follow. None for nowhere.

    Raises:
        SettingsError: The port cannot be bound.
    """
    if port is None:
        yield
        return

    def metrics() -> tuple[str, bytes]:
        running = Family("assay_server_up", "gauge", "Whether the process of a server runs.")
        restarts = Family("assay_server_restarts_total", "counter", "How often a server was started again.")
        for label, (runs, count) in states().items():
            running.add(runs, server=label)
            restarts.add(count, server=label)
        return CONTENT_TYPE, exposition([running, restarts, *process_families()])

    def targets() -> tuple[str, bytes]:
        groups = [
            {"targets": [f"{_HOST}:{port + 1 + place}"], "labels": {"server": label}}
            for place, label in enumerate(states())
        ]
        return "application/json", json.dumps(groups).encode()

    server = MetricsServer({"/metrics": metrics, "/targets": targets})
    try:
        await server.start(_HOST, port)
    except OSError as error:
        raise SettingsError(f"--metrics-port {port}: {error.strerror}") from None
    try:
        yield
    finally:
        await server.close()
