"""What the client's benchmarks share."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

LATEX = "We get $\\frac{a_1}{b^2} \\le \\sqrt{n}$, so “x” is \\(\\alpha + 1\\).\n"


@contextlib.contextmanager
def echo_server() -> Iterator[str]:
    """A minimal server in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client._echo_server"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield f"127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()
