"""Which kind of sandbox the harnesses open: `SANDBOX_BACKEND`, `SANDBOX_RUNTIME`, and the engine of `DOCKER_HOST`."""

from __future__ import annotations

import os

from sandbox import SandboxConfig

_NAMES = ("SANDBOX_BACKEND", "SANDBOX_RUNTIME", "DOCKER_HOST")


def chosen_environment() -> dict[str, str]:
    """The variables that choose, for a service that is started with others."""
    return {name: os.environ[name] for name in _NAMES if name in os.environ}


def chosen_config(python: str | None = None, packages: str | None = None) -> SandboxConfig:
    """Settings by these variables, which are taken out of the environment."""
    backend, runtime, host = (os.environ.pop(name, None) for name in _NAMES)
    return SandboxConfig(
        python=python,
        packages=packages,
        backend=backend or "ns",
        docker_runtime=runtime or "runc",
        docker_host=host,
    )
