"""A reward server as a child process of an actor of Ray."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence

from ray.util import get_node_ip_address

from reward_servers.core import AssayServerError
from trainer_client._client.local import spawn_bound

DRAIN_S = 75.0
"""Seconds that a server has to finish what it has admitted."""
_METRICS = re.compile(r"http://\S+/metrics")
_IN_FLIGHT = re.compile(r"^assay_items_in_flight (\S+)$", re.MULTILINE)
_LINES_KEPT = 50


class ServerNotStartedError(AssayServerError):
    """A server has ended before it answered."""


class ServerProcess:
    """One server as a child of this process, which ends with it, however it ends.

    Args:
        verifiers: What it hosts, by name or ``module:attribute``.
        workers: Its worker processes.
        options: More of the command line of ``assay serve``, such as ``["--config", "/etc/assay/math.toml"]``.
        ended: Called when it has ended by itself.

    Raises:
        ServerNotStartedError: It has ended at once, with its last words.
    """

    def __init__(
        self, verifiers: Sequence[str], *, workers: int = 1, options: Sequence[str] = (), ended: Callable[[], None]
    ) -> None:
        self._ended = ended
        self._stopping = False
        self._metrics: str | None = None
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        # Without a certificate in its settings it speaks plain text to the cluster, as Ray itself does.
        place = ["--host", get_node_ip_address(), "--port", "0", "--insecure", "--metrics-port", "0"]
        arguments = ["--with-parent", *place, "--workers", str(workers), *options, *verifiers]
        line = [sys.executable, "-P", "-m", "reward_servers", "serve", *arguments]
        self._process = spawn_bound(line, self._hear, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        first = self._process.stdout.readline().split()
        if first[:2] != ["listening", "on"]:
            self._process.wait()
            raise ServerNotStartedError("\n".join(self._said) or "the server has ended without a word")
        self.address = first[2]
        threading.Thread(target=self._watch, daemon=True).start()

    def _hear(self, line: str) -> None:
        self._said.append(line)
        if self._metrics is None and (match := _METRICS.search(line)):
            self._metrics = match[0]
        # Ray keeps what its workers write.
        sys.stderr.write(f"{line}\n")

    def _watch(self) -> None:
        self._process.wait()
        if not self._stopping:
            self._ended()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def items_in_flight(self) -> int:
        """Items that it has admitted and not finished, by its own metrics.

        Raises:
            OSError: It does not say.
        """
        if self._metrics is None:
            raise OSError("the server has named no address of its metrics")
        with urllib.request.urlopen(self._metrics, timeout=2.0) as page:  # noqa: S310 (our own server's)
            match = _IN_FLIGHT.search(page.read().decode())
        return int(float(match[1])) if match else 0

    def drain(self) -> None:
        """Let it finish what it has admitted, and wait for its end."""
        self._stopping = True
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(DRAIN_S)
