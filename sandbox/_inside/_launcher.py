"""The process between the owner and a zygote: it makes the namespaces, then waits to clean up.

It stays outside the walls, does nothing while the slot lives, and when either side is gone it ends the other and
removes the slot's cgroups. So nothing is left behind even if the owner is killed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from typing import Any

from sandbox._inside import _kernel, _rootfs, _wire, _zygote
from sandbox._inside._steps import Steps

_REMOVAL_S = 5.0


def main() -> None:
    """Serve the owner at the other end of the socket named by the first argument until one of us ends."""
    control = socket.socket(fileno=int(sys.argv[1]))
    received = _wire.receive_job(control)
    if received is None:
        return
    spec, group_descriptors = received
    owner = os.pidfd_open(os.getppid())
    if os.getppid() != spec["owner"]:
        return
    try:  # a process that is to become a program comes out of here by `_program.Start`
        zygote, zygote_descriptor = _start(control, spec, group_descriptors, owner)
    except _kernel.SetupError as error:
        _wire.send_frame(control, _wire.FAILED, f"{error.step}\0{error.detail}".encode())
        _remove(spec["groups"])
        return
    control.close()
    for descriptor in group_descriptors:
        os.close(descriptor)
    _wait(owner, zygote_descriptor)
    signal.pidfd_send_signal(zygote_descriptor, signal.SIGKILL)
    os.waitpid(zygote, 0)
    _remove(spec["groups"])


def _start(control: socket.socket, spec: dict[str, Any], groups: list[int], owner: int) -> tuple[int, int]:
    steps = Steps()
    if _kernel.machine() not in _kernel.NUMBERS:
        raise _kernel.SetupError("architecture", f"no system call table for {_kernel.machine()}")
    sources = [*spec["directories"], *spec["packages"].values()]
    root = _rootfs.choose_staging(sources)
    tree = (spec["directories"], spec["packages"], spec["hidden"])
    privileged = _leave_mount_namespace()
    if privileged:
        # Only root can show directories that lie in a private home, so the tree is built on this side.
        _rootfs.build(root, *tree, steps)
        with steps("drop_groups"):
            os.setgroups([])
    ready_read, ready_write = os.pipe()
    with steps("user_namespace"):
        pid, descriptor = _kernel.clone(_kernel.NAMESPACES)
    if pid == 0:
        os.close(ready_write)
        os.close(owner)
        _zygote.main(control, spec, groups, steps, ready_read, None if privileged else tree, root)
    os.close(ready_read)
    try:
        with steps("id_maps"):
            _map_ids(pid, spec["uid"], spec["gid"])
    except _kernel.SetupError:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    os.write(ready_write, b"m")
    os.close(ready_write)
    return pid, descriptor


def _leave_mount_namespace() -> bool:
    try:
        _kernel.unshare(_kernel.CLONE_NEWNS)
    except PermissionError:
        return False
    return True


def _map_ids(pid: int, uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/{pid}/{name}", "w") as file:
            file.write(text)


def _wait(owner: int, zygote: int) -> None:
    poll = select.poll()
    poll.register(owner, select.POLLIN)
    poll.register(zygote, select.POLLIN)
    poll.poll()


def _remove(groups: list[str]) -> None:
    """Remove cgroup directories; the kernel refuses while the last processes are still being taken down."""
    deadline = time.monotonic() + _REMOVAL_S
    for path in groups:
        while os.path.isdir(path):
            try:
                os.rmdir(path)
            except OSError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.005)
