"""Fixtures: one server for all trainers, a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.conftest import Processes


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that hosts what the tests ask."""
    processes = Processes(tmp_path_factory.mktemp("servers"))
    ours = [f"tests.adapters.verifiers:{name}" for name in ("outage", "slow")]
    yield processes.start("serve", "exact", "length", "agreement", *ours, "--port", "0", "--workers", "1")
    processes.stop()
