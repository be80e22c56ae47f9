"""Fixtures: one server for all trainers, a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.gateway.conftest import Processes


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that hosts what the tests ask."""
    processes = Processes(tmp_path_factory.mktemp("servers"))
    ours = [f"tests.adapters.verifiers:{name}" for name in ("outage", "slow")]
    yield processes.start("serve", "exact", "length", "agreement", *ours, "--port", "0", "--workers", "1")
    processes.stop()


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Install a module of a trainer for the test."""

    def install(name: str, **members: Any) -> None:
        parts = name.split(".")
        for place in range(1, len(parts) + 1):
            path = ".".join(parts[:place])
            if path not in sys.modules:
                monkeypatch.setitem(sys.modules, path, ModuleType(path))
        vars(sys.modules[name]).update(members)

    return install
