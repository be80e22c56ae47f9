"""The one way to a sandbox, and the seam for further backends."""

from __future__ import annotations

import dataclasses
import sys

from sandbox._errors import SandboxUnavailableError
from sandbox._types import Sandbox, SandboxConfig

_BACKENDS = ("ns", "docker")


def open_sandbox(backend: str | None = None, config: SandboxConfig | None = None) -> Sandbox:
    """Open one slot, after proving that it isolates.

    Args:
        backend: Kind of isolation; that of the settings if None. `ns`: Linux namespaces, seccomp and limits, as root
            or as an ordinary user. `docker`: a container for each slot, by an engine on this host.
        config: Settings of the slot.

    Raises:
        SandboxUnavailableError: This host does not allow the isolation; names the step and the remedy. There is no
            weaker mode to fall back to.
        SandboxInternalError: The slot could not be started for another reason.
        ValueError: No such backend, or a setting that makes no sense.
    """
    config = config or SandboxConfig()
    backend = backend or config.backend
    if backend not in _BACKENDS:
        raise ValueError(f"no sandbox backend {backend!r}; there are: {', '.join(_BACKENDS)}")
    if sys.platform != "linux":
        raise SandboxUnavailableError("platform", "Run on Linux.", f"this is {sys.platform}")
    # Linux only, so it cannot be imported at the top.
    from sandbox._docker._slot import DockerSandbox
    from sandbox._ns._selftest import run_canaries
    from sandbox._ns._slot import NsSandbox

    sandbox: NsSandbox | DockerSandbox
    sandbox = DockerSandbox(config) if backend == "docker" else NsSandbox(config)
    try:
        steps = run_canaries(sandbox)
        sandbox.report = dataclasses.replace(sandbox.report, steps=(*sandbox.report.steps, *steps))
    except BaseException:
        sandbox.close()
        raise
    return sandbox
