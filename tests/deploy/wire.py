"""Hosts that are network namespaces, and the wire between them, which can be slow, lossy or cut.

The wire is a thread that reads packets of each host's tunnel and writes them to that of their destination: it needs no
module of the kernel but tunnels.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import random
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence

_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_NETWORK = "10.77.31"
_LONGEST = 2048
_HERE = 100
"""Host number of the process itself, which is in no namespace of its own."""


class Wire:
    """Connects hosts.

    Attributes:
        delay: Seconds that a packet takes.
        jitter: Seconds that it may take more; packets then overtake each other.
        loss: Share of packets that are lost.
        cut: Hosts whose packets go nowhere.
    """

    def __init__(self, hosts: Sequence[int]) -> None:
        self.delay = self.jitter = self.loss = 0.0
        self.cut: set[int] = set()
        self.lost = self.carried = 0
        self._draw = random.Random(7)
        self._hosts = hosts
        self._tunnels: dict[int, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wire", daemon=True)

    def connect(self) -> None:
        """Make the namespaces and their tunnels.

        Raises:
            OSError: The host refuses tunnels or namespaces.
            subprocess.CalledProcessError: The same, as `ip` says it.
        """
        for host in (*self._hosts, _HERE):
            self._tunnels[host] = _tunnel(_device(host))
            inside: list[str] = []
            if host != _HERE:
                _ip("netns", "add", _name(host))
                _ip("link", "set", _device(host), "netns", _name(host))
                inside = ["-n", _name(host)]
                _ip(*inside, "link", "set", "lo", "up")
            _ip(*inside, "address", "add", f"{_NETWORK}.{host}/24", "dev", _device(host))
            _ip(*inside, "link", "set", _device(host), "up")
        for host, tunnel in self._tunnels.items():
            self._loop.add_reader(tunnel, self._carry, host, tunnel)
        self._thread.start()

    def close(self) -> None:
        """Take everything away."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()
        for tunnel in self._tunnels.values():
            os.close(tunnel)
        for host in self._hosts:
            subprocess.run(["ip", "netns", "delete", _name(host)], capture_output=True, check=False)

    def _carry(self, host: int, tunnel: int) -> None:
        with contextlib.suppress(BlockingIOError):
            packet = os.read(tunnel, _LONGEST)
            target = packet[19] if packet[:1] and packet[0] >> 4 == 4 else -1
            if target not in self._tunnels or {host, target} & self.cut or self._draw.random() < self.loss:
                self.lost += 1
                return
            self.carried += 1
            self._loop.call_later(self.delay + self._draw.random() * self.jitter, self._arrive, target, packet)

    def _arrive(self, target: int, packet: bytes) -> None:
        if target not in self.cut:
            with contextlib.suppress(OSError):
                os.write(self._tunnels[target], packet)


@contextlib.contextmanager
def wire(hosts: Sequence[int]) -> Iterator[Wire]:
    """Hosts that are connected."""
    made = Wire(hosts)
    try:
        made.connect()
        yield made
    finally:
        made.close()


def address_of(host: int) -> str:
    """The address of a host."""
    return f"{_NETWORK}.{host}"


def on(host: int, *command: str) -> list[str]:
    """The command line that runs a command on a host."""
    return ["ip", "netns", "exec", _name(host), *command]


def _name(host: int) -> str:
    return f"assay-{os.getpid()}-{host}"


def _device(host: int) -> str:
    return f"as{os.getpid() % 1_000_000}-{host}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True)


def _tunnel(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor
