"""What the client's benchmarks share."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

LATEX = "We get $\\frac{a_1}{b^2} \\le \\sqrt{n}$, so “x” is \\(\\alpha + 1\\).\n"


@contextlib.contextmanager
def echo_server(cost: str = "COST_CLASS_CPU") -> Iterator[str]:
    """A minimal server in a process of its own, whose verifier claims that cost; its address."""
    command = [sys.executable, "-m", "benchmarks.client._echo_server", cost]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()
