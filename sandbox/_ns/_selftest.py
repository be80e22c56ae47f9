"""The canaries: a program of ours that tries to get out, before any program of others is run."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

from sandbox._errors import SandboxUnavailableError
from sandbox._ns._remedies import remedy
from sandbox._types import CompileFailure, Limits, Program, Sandbox, Step

_PROBE = b"""
import ctypes, json, os, socket
plan = json.loads(input())
def processes():
    return sum(p.isdigit() for p in os.listdir("/proc")) <= plan["processes"]
def file():
    return not os.path.exists(plan["file"])
def connects(family, address):
    try:
        with socket.socket(family) as s:
            s.settimeout(1)
            s.connect(address)
        return True
    except OSError:
        return False
def network():
    tcp = plan["port"] and connects(socket.AF_INET, ("127.0.0.1", plan["port"]))
    return not tcp and not connects(socket.AF_UNIX, "\\0" + plan["name"])
def root():
    for place in "/", "/usr", "/etc", "/dev", plan["prefix"]:
        try:
            with open(os.path.join(place, "canary"), "w"):
                return False
        except OSError:
            pass
    return True
def rights():
    with open("/proc/self/status") as f:
        rights = [int(line.split()[1], 16) for line in f if line.startswith("Cap")]
    prctl = ctypes.CDLL(None).prctl
    return len(rights) >= 4 and not any(rights) and prctl(39, 0, 0, 0, 0) == 1 and prctl(21, 0, 0, 0, 0) == 2
def environment():
    return plan["name"] not in "".join(os.environ.values())
for check in processes, file, network, root, rights, environment:
    try:
        print(check.__name__, int(bool(check())))
    except Exception as error:
        print(check.__name__, 0, type(error).__name__, error)
"""
_CANARIES = ("processes", "file", "network", "root", "rights", "environment")
_PROCESSES = {"fresh": 2, "container": 4}
"""Most processes that a program sees of itself and of ours."""
_VARIABLE = "SANDBOX_CANARY"


@contextlib.contextmanager
def _planted() -> Iterator[dict[str, Any]]:
    """Something of the host to be found: a file, listeners."""
    name = f"canary-{secrets.token_hex(8)}"
    with contextlib.ExitStack() as stack:
        path = "/" + name
        with contextlib.suppress(OSError):  # a read-only host has no place for it, and nothing that was stored either
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix=name))
            os.chmod(directory, 0o755)  # noqa: S103 - it is to be found if it can be
            path = os.path.join(directory, name)
            with open(path, "w") as file:
                file.write(name)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind("\0" + name)
        listener.listen()
        port = 0
        with contextlib.suppress(OSError):  # a host without loopback has nothing to reach there
            tcp = stack.enter_context(socket.socket())
            tcp.bind(("127.0.0.1", 0))
            tcp.listen()
            port = tcp.getsockname()[1]
        yield {"file": path, "name": name, "port": port}


def run_canaries(sandbox: Sandbox) -> tuple[Step, ...]:
    """Try to get out of a sandbox that was just opened.

    Returns:
        What was tried and held.

    Raises:
        SandboxUnavailableError: A canary got out.
    """
    with _planted() as plan:
        plan["processes"] = _PROCESSES[sandbox.report.proc]
        plan["prefix"] = os.path.dirname(sandbox.report.interpreter.split()[0])
        prepared = sandbox.prepare(Program("python", _PROBE))
        if isinstance(prepared, CompileFailure):
            raise SandboxUnavailableError("canaries", remedy("canaries"), prepared.message)
        result = sandbox.run(prepared, stdin=json.dumps(plan).encode(), limits=Limits())
        sandbox.discard(prepared)
    answers = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in result.stdout.decode("utf-8").splitlines()}
    for name in _CANARIES:
        if answers.get(name) != "1":
            observation = answers.get(name) or f"{result.ended} {result.stderr.decode('utf-8', 'replace')}"
            raise SandboxUnavailableError(f"canary_{name}", remedy("canaries"), observation)
    return tuple(Step(f"canary_{name}", True) for name in _CANARIES)
