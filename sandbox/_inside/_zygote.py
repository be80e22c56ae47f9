"""The warm process of a slot: first in its namespaces, holds the interpreter and the packages, never runs a program.

On each request it clones one *spare*: namespaces, file system and process ready, waiting for its job. The owner talks
to the spare directly, so a request never waits for the making of its process. It also keeps what compilers made, in a
place that programs see as read-only: a file that each run of a rollout executes must carry nothing from run to run,
neither a mode nor a time nor an attribute.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import select
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sandbox._inside import _child, _init, _kernel, _program, _rootfs, _wire
from sandbox._inside._steps import Steps

# Held by every warm interpreter: small, and imported by most programs.
_COMMON = (
    "bisect",
    "collections",
    "copy",
    "functools",
    "heapq",
    "io",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "string",
    "typing",
)


class Links(NamedTuple):
    """What ties a zygote to the outside.

    Attributes:
        control: To the owner.
        owner: A pidfd of the owner: its end is ours. The connection alone might be held open by the owner's children.
        held: Writing end of the pipe by which the launcher learns of our end.
    """

    control: socket.socket
    owner: int
    held: int


Tree = tuple[Sequence[str], Mapping[str, str], Sequence[str]]


def main(
    links: Links,
    spec: dict[str, Any],
    groups: list[int],
    steps: Steps,
    mapped: int,
    tree: Tree | None,
    root: str,
) -> _program.Program:
    """Go behind the wall, report, and make spares until the owner closes its end. Returns in their processes.

    Args:
        links: To the outside.
        spec: What the owner sent.
        groups: Descriptors of `cgroup.procs` files, as many for each of the sets of groups.
        steps: Steps taken so far.
        mapped: Descriptor that is written to once the ids of this namespace are mapped.
        tree: What to build the file system from, if that was not done before.
        root: Where it is built.
    """
    control = links.control
    try:
        word = os.read(mapped, 1)
        if word not in (_wire.OWN_USER, _wire.SHARED_USER):
            os._exit(1)
        os.close(mapped)
        _enter(steps, tree, root)
        preload(spec["preload"])
        with steps("filter"):
            rights = _child.Rights(word == _wire.SHARED_USER)
        try_filter(steps, rights)
        shelf = _Shelf(steps)
        maker = _init.Maker(rights, _sets(groups, spec["turns"]))
        report = "\0".join((sys.version.split()[0], word.decode(), *steps.done))
        _wire.send_frame(control, _wire.READY, report.encode())
        stand_in_streams()
        gc.freeze()
    except _kernel.SetupError as error:
        _wire.send_frame(control, _wire.FAILED, f"{error.step}\0{error.detail}".encode())
        os._exit(1)
    except BaseException as error:  # noqa: BLE001 - there is no one else to tell
        _wire.send_frame(control, _wire.FAILED, f"{_wire.ZYGOTE}\0{type(error).__name__}: {error}".encode())
        os._exit(1)
    return _serve(links, maker, shelf)


def _enter(steps: Steps, tree: Tree | None, root: str) -> None:
    with steps("ids"):
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        # Changing ids made our own /proc files root's; the inits have to write theirs.
        _kernel.prctl(_kernel.PR_SET_DUMPABLE, 1)
        _kernel.prctl(_kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _kernel.prctl(_kernel.PR_SET_NO_NEW_PRIVS, 1)
    if tree is not None:
        _rootfs.build(root, *tree, steps)
    _rootfs.enter(root, steps)
    with steps("host_name"):
        socket.sethostname("sandbox")
    _kernel.ignore_signal(_kernel.SIGCHLD)  # the kernel reaps the inits


def preload(packages: Sequence[str]) -> None:
    """Import what programs are likely to want, and move it out of the sight of the garbage collector."""
    import site

    for path in _rootfs.PACKAGES, *sys.path:
        sys.path_importer_cache.pop(path, None)
    site.setquit()
    site.setcopyright()
    site.sethelper()
    for name in (*_COMMON, *packages):
        importlib.import_module(name)
    gc.collect()


def stand_in_streams() -> None:
    """Open the standard streams on files of the kinds that a run gets, which then only take their place."""
    empty = os.memfd_create("empty")
    reading, writing = os.pipe()
    for source, descriptor in ((empty, 0), (writing, 1), (writing, 2)):
        os.dup2(source, descriptor)
    for descriptor in (empty, reading, writing):
        os.close(descriptor)
    _program.open_streams()


def _sets(groups: list[int], count: int) -> list[list[int]]:
    size = len(groups) // count if count else 0
    return [groups[turn * size : (turn + 1) * size] for turn in range(count)]


def try_filter(steps: Steps, rights: _child.Rights) -> None:
    """Load the filter in a process that ends at once, so that a kernel without it is found at the start."""
    with steps("seccomp"):
        _kernel.default_signal(_kernel.SIGCHLD)
        pid = os.fork()
        if pid == 0:
            try:
                rights.filter.load()
            except OSError as error:
                os._exit(error.errno or 255)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        _kernel.ignore_signal(_kernel.SIGCHLD)
        if code:
            raise OSError(code, os.strerror(code))


class _Shelf:
    """A file system for what compilers made: written to here, and read-only in the descriptors that are given out."""

    def __init__(self, steps: Steps) -> None:
        """Make it. It is in no tree afterwards, so no program finds it."""
        self._numbers = itertools.count()
        with steps("artefacts"):
            flags = _kernel.MS_NOSUID | _kernel.MS_NODEV
            _kernel.mount("artefacts", _rootfs.WRITABLE, "tmpfs", flags, "size=2g,mode=0700")
            _kernel.mount(_rootfs.WRITABLE, _rootfs.READ_ONLY, None, _kernel.MS_BIND)
            _kernel.make_read_only(_rootfs.READ_ONLY)
            self._writing = os.open(_rootfs.WRITABLE, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._reading = os.open(_rootfs.READ_ONLY, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            _kernel.unmount(_rootfs.READ_ONLY)
            _kernel.unmount(_rootfs.WRITABLE)

    def keep(self, product: int, size: int) -> int:
        """Copy a file; returns a descriptor of the copy, which has no name and goes with its last descriptor."""
        name = f"program-{next(self._numbers)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        copy = os.open(name, flags, 0o555, dir_fd=self._writing)
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._reading)
            os.unlink(name, dir_fd=self._writing)
            offset = 0
            while offset < size and (sent := os.sendfile(copy, product, offset, size - offset)):
                offset += sent
        finally:
            os.close(copy)
        return descriptor


def _serve(links: Links, maker: _init.Maker, shelf: _Shelf) -> _program.Program:
    control = links.control
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(links.owner, select.POLLIN)
    while links.owner not in dict(poll.poll()):
        request, descriptors = _wire.receive_request(control)
        if len(request) < _wire.SPARE_REQUEST.size:
            break
        if descriptors:
            _keep(control, shelf, descriptors[0], _wire.SPARE_REQUEST.unpack(request)[0])
            continue
        near, far = socket.socketpair()
        try:
            child = maker.make(far, (control, near), *_wire.SPARE_REQUEST.unpack(request))
        except OSError as error:
            _wire.send_frame(control, _wire.FAILED, f"clone\0{error}".encode())
        else:
            if isinstance(child, _program.Program):
                return child
            _wire.send_frame(control, _wire.SPARE, b"", (near.fileno(), child))
            os.close(child)
        near.close()
        far.close()
    os._exit(0)


def _keep(control: socket.socket, shelf: _Shelf, product: int, size: int) -> None:
    try:
        descriptor = shelf.keep(product, size)
    except OSError as error:
        _wire.send_frame(control, _wire.FAILED, f"artefact\0{error}".encode())
    else:
        _wire.send_frame(control, _wire.KEPT, b"", (descriptor,))
        os.close(descriptor)
    os.close(product)
