"""The one way to a sandbox, and the seam for further backends."""

from __future__ import annotations

import sys

from sandbox._errors import SandboxUnavailable
from sandbox._types import Sandbox, SandboxConfig

_BACKENDS = ("ns",)


def open_sandbox(backend: str = "ns", config: SandboxConfig | None = None) -> Sandbox:
    """Open one slot, after proving that it isolates.

    Args:
        backend: Kind of isolation. `ns`: Linux namespaces, seccomp and limits, as root or as an ordinary user.
        config: Settings of the slot.

    Raises:
        SandboxUnavailable: This host does not allow the isolation; names the step and the remedy. There is no
            weaker mode to fall back to.
        SandboxFailure: The slot could not be started for another reason.
        ValueError: No such backend, or a setting that makes no sense.
    """
    if backend not in _BACKENDS:
        raise ValueError(f"no sandbox backend {backend!r}; there are: {', '.join(_BACKENDS)}")
    if sys.platform != "linux":
        raise SandboxUnavailable("platform", "Run on Linux.", f"this is {sys.platform}")
    # Linux only, so it cannot be imported at the top.
    from sandbox._ns._selftest import run_canaries
    from sandbox._ns._slot import NsSandbox

    sandbox = NsSandbox(config or SandboxConfig())
    try:
        run_canaries(sandbox)
    except BaseException:
        sandbox.close()
        raise
    return sandbox
