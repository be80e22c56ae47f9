"""The process between the owner and a zygote: it makes the namespaces, then waits to clean up.

It stays outside the walls. Once the zygote runs it turns into a small shell script, which sleeps until the zygote is
gone, for whatever reason, and then removes the slot's cgroups. So nothing is left behind even if the owner is killed:
the zygote watches the owner, and its end is the end of every process of the slot.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any

from sandbox._inside import _kernel, _program, _rootfs, _wire, _zygote
from sandbox._inside._steps import Steps

_HELPER = "ASSAY_HELPER"  # says that this process is kept for later runs, and is no affair of programs
_SHELL = "/bin/sh"
_REMOVAL_TRIES = 500
_REMOVAL_PAUSE_S = 0.01
# The kernel refuses to remove a cgroup while its last processes are being taken down.
_SCRIPT = f"""
read -r nothing
tries=0
while [ $# -gt 0 ]; do
    rmdir "$1" 2>/dev/null
    if [ -d "$1" ] && [ $tries -lt {_REMOVAL_TRIES} ]; then
        tries=$((tries + 1))
        sleep {_REMOVAL_PAUSE_S}
    else
        shift
    fi
done
"""


def main() -> _program.Program | None:
    """Start a zygote for the owner at the other end of the socket named by the first argument, then wait.

    Returns:
        In a process that is to become a Python program: the program.
    """
    os.environ.pop(_HELPER, None)
    control = socket.socket(fileno=int(sys.argv[1]))
    received = _wire.receive_job(control)
    if received is None:
        return None
    spec, group_descriptors = received
    owner = os.pidfd_open(os.getppid())
    if os.getppid() != spec["owner"]:
        return None
    alive, lifeline = os.pipe()
    try:
        program = _start(spec, _zygote.Links(control, owner, lifeline), group_descriptors)
    except _kernel.SetupError as error:
        _wire.send_frame(control, _wire.FAILED, f"{error.step}\0{error.detail}".encode())
        _remove(spec["groups"])
        return None
    if program is not None:
        return program
    os.dup2(alive, 0)
    control.detach()
    _kernel.close_from(3)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the zygote
    if os.access(_SHELL, os.X_OK):
        command = [_SHELL, "-c", _SCRIPT, "sandbox-launcher", *spec["groups"]]
        os.execve(_SHELL, command, {**os.environ, _HELPER: "1"})  # noqa: S606 - it is the shell
    os.read(0, 1)
    _remove(spec["groups"])
    return None


def _start(spec: dict[str, Any], links: _zygote.Links, groups: list[int]) -> _program.Program | None:
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
        return _zygote.main(links, spec, groups, steps, ready_read, None if privileged else tree, root)
    os.close(ready_read)
    try:
        with steps("id_maps"):
            word = _map_ids(pid, spec)
    except _kernel.SetupError:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    os.write(ready_write, word)
    os.close(ready_write)
    return None


def _leave_mount_namespace() -> bool:
    try:
        _kernel.unshare(_kernel.CLONE_NEWNS)
    except PermissionError:
        return False
    return True


def _map_ids(pid: int, spec: dict[str, Any]) -> bytes:
    """Map the ids of a zygote's namespace; says whether the user behind them is the slot's own."""
    with open(f"/proc/{pid}/setgroups", "w") as file:
        file.write("deny")
    own = spec["own_uid"]
    if spec["sub_uid"] is not None:
        command = [spec["newuidmap"], str(pid), "0", str(spec["sub_uid"]), "1"]
        null = os.open(os.devnull, os.O_RDWR)
        files = [(os.POSIX_SPAWN_DUP2, null, number) for number in (1, 2)]
        helper = os.posix_spawn(command[0], command, os.environ, file_actions=files)
        own = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1]) == 0
        os.close(null)
    if not own or spec["sub_uid"] is None:
        with open(f"/proc/{pid}/uid_map", "w") as file:
            file.write(f"0 {spec['uid']} 1")
    with open(f"/proc/{pid}/gid_map", "w") as file:
        file.write(f"0 {spec['gid']} 1")
    return _wire.OWN_USER if own else _wire.SHARED_USER


def _remove(groups: list[str]) -> None:
    """What the script does, where there is no shell."""
    for path in groups:
        for _ in range(_REMOVAL_TRIES):
            if not os.path.isdir(path):
                break
            try:
                os.rmdir(path)
            except OSError:
                time.sleep(_REMOVAL_PAUSE_S)
