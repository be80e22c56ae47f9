"""What is planted on the host for a case: files, processes, listeners, a run in another slot."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.attacks._lines import Line, fill, host_address, new_token

_PLACEHOLDER = "{{PORT}}"


class Listeners:
    """Sockets of the host that a run must not reach; counts what arrives."""

    def __init__(self) -> None:
        self.received = 0
        self._sockets: list[tuple[socket.socket, bool]] = []
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def bind(self, plant: dict[str, Any], names: dict[str, str]) -> None:
        """Listen as a plant says, on a port of the kernel's choice."""
        datagrams = plant["kind"] == "udp_listener"
        port = int(names.get("PORT", "0"))
        for address in dict.fromkeys(fill(plant["addresses"], names)):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
            sock.bind((address, port))
            port = sock.getsockname()[1]
            self._add(sock, datagrams, plant.get("answer") == "echo")
        names["PORT"] = str(port)

    def bind_unix(self, address: str) -> None:
        """Listen on a path or, with a leading NUL, on an abstract name."""
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address)
        self._add(sock, False, False)

    def _add(self, sock: socket.socket, datagrams: bool, echo: bool) -> None:
        if not datagrams:
            sock.listen()
        self._sockets.append((sock, echo))

    def start(self) -> None:
        """Begin to count."""
        self._thread.start()

    def _serve(self) -> None:
        by_number = {sock.fileno(): (sock, echo) for sock, echo in self._sockets}
        while True:
            ready, _, _ = select.select([*by_number, self._stop_read], [], [])
            for number in ready:
                if number == self._stop_read:
                    return
                sock, echo = by_number[number]
                self.received += 1
                if sock.type == socket.SOCK_DGRAM:
                    data, sender = sock.recvfrom(2048)
                    if echo:
                        sock.sendto(data, sender)
                else:
                    self._accept(sock, echo)

    def _accept(self, sock: socket.socket, echo: bool) -> None:
        connection, _ = sock.accept()
        with connection:
            if echo:
                connection.settimeout(1)
                with contextlib.suppress(OSError):  # it said nothing
                    connection.sendall(connection.recv(2048))

    def close(self) -> None:
        """Stop."""
        os.write(self._stop_write, b"s")
        if self._thread.is_alive():
            self._thread.join()
        for sock, _ in self._sockets:
            sock.close()
        os.close(self._stop_read)
        os.close(self._stop_write)


@contextlib.contextmanager
def planted(line: Line, env_token: str) -> Iterator[tuple[dict[str, str], Listeners]]:
    """Plant everything of a line; yields the values of its placeholders, and the listeners."""
    plants = line["probe"].get("plant", [])
    by_env = any(plant["kind"] == "env" for plant in plants)
    names = {"TOKEN": env_token if by_env else new_token(), "HOST_ADDR": host_address()}
    with contextlib.ExitStack() as stack:
        listeners = Listeners()
        stack.callback(listeners.close)
        for plant in plants:
            _place(plant, names, listeners, stack)
        listeners.start()
        yield names, listeners


def _place(plant: dict[str, Any], names: dict[str, str], listeners: Listeners, stack: contextlib.ExitStack) -> None:
    kind = plant["kind"]
    if kind == "file":
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-", dir=Path.home()))
        os.chmod(directory, 0o755)
        path = Path(directory) / fill(plant["name"], names)
        path.write_text(fill(plant["content"], names))
        path.chmod(int(plant["mode"], 8))
        names["CANARY_DIR"] = directory
    elif kind == "process":
        text = fill(plant["argv_contains"], names)
        argv = [sys.executable, "-S", "-c", "import time; time.sleep(3600)", text]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.kill)
    elif kind in ("tcp_listener", "udp_listener"):
        listeners.bind(plant, names)
    elif kind == "unix_listener":
        if "abstract" in plant:
            listeners.bind_unix("\0" + fill(plant["abstract"], names))
        else:
            names["SOCKET"] = _socket_path(stack)
            listeners.bind_unix(names["SOCKET"])
            os.chmod(names["SOCKET"], 0o666)
    elif kind not in ("env", "parallel_run"):
        raise ValueError(f"unknown plant {kind!r}")


def _socket_path(stack: contextlib.ExitStack) -> str:
    parent = "/run" if os.access("/run", os.W_OK) else "/tmp"
    directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-", dir=parent))
    os.chmod(directory, 0o755)
    return directory + "/listener.sock"


def outside_shows_leak(code: str, leak: str) -> bool:
    """Run a harmless probe outside the sandbox as this user: does it find what was planted?"""
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, cwd="/"
    )
    return leak.encode() in done.stdout


@contextlib.contextmanager
def parallel(action: Callable[[], object] | None) -> Iterator[None]:
    """Do something in another thread meanwhile."""
    if action is None:
        yield
        return
    thread = threading.Thread(target=action)
    thread.start()
    try:
        yield
    finally:
        thread.join()
