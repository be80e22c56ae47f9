"""The file system that a program sees: a read-only tree of system directories, the interpreter and little else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from sandbox._inside import _kernel
from sandbox._inside._steps import Steps

BOX = "/tmp/box"  # noqa: S108 - a path behind the wall
"""Working directory of a program."""
SHARED_MEMORY = "/tmp/shm"  # noqa: S108 - a path behind the wall
PACKAGES = "/opt/packages"
WRITABLE = "/tmp"  # noqa: S108 - a path behind the wall
READ_ONLY = "/opt/read-only"
"""Where the artefacts of compilers are mounted twice while a slot starts."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SYSTEM_CONFIGURATION = ("/etc/alternatives", "/etc/ld.so.cache")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_STAGING = ("/mnt", "/media", "/srv", "/opt", "/var/tmp", "/tmp")  # noqa: S108 - used as mount points only
FILES = {
    "/etc/passwd": "root:x:0:0:root:/:/bin/false\nuser:x:1000:1000:user:/tmp/box:/bin/sh\n",
    "/etc/group": "root:x:0:\nuser:x:1000:\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def choose_staging(sources: Sequence[str]) -> str:
    """Find a directory that may be covered by a mount without hiding one of the sources.

    Raises:
        _kernel.SetupError: There is none.
    """
    for directory in _STAGING:
        hides = any(source == directory or source.startswith(directory + "/") for source in sources)
        if not hides and os.path.isdir(directory) and not os.path.islink(directory):
            return directory
    raise _kernel.SetupError("root_tmpfs", f"none of {', '.join(_STAGING)} is a directory free to be covered")


def _bind(source: str, root: str, target: str | None = None) -> None:
    inside = root + (target or source)
    if os.path.isdir(source):
        os.makedirs(inside, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(inside), exist_ok=True)
        os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o644))
    _kernel.mount(source, inside, None, _kernel.MS_BIND | _kernel.MS_REC)


def _bind_system(root: str, directories: Sequence[str]) -> None:
    for path in SYSTEM:
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            _bind(path, root)
    for path in SYSTEM_CONFIGURATION:
        if os.path.exists(path):
            _bind(path, root)
    for path in directories:
        if not os.path.exists(root + path):
            _bind(path, root)


def _bind_packages(root: str, packages: Mapping[str, str], hidden: Sequence[str]) -> None:
    """Show the packages of the preload sets in a place of their own and hide where other packages lie."""
    empty = root + "/opt/none"
    os.makedirs(root + PACKAGES)
    os.makedirs(empty)
    os.makedirs(root + READ_ONLY)
    for path in hidden:
        if os.path.isdir(root + path):
            _kernel.mount(empty, root + path, None, _kernel.MS_BIND)
    for name, source in packages.items():
        _bind(source, root, f"{PACKAGES}/{name}")


def _make_devices(root: str) -> None:
    os.makedirs(root + "/dev")
    for name in _DEVICES:
        os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o644))
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")
    os.symlink(SHARED_MEMORY, root + "/dev/shm")  # noqa: S108 - a path behind the wall


def build(
    root: str,
    directories: Sequence[str],
    packages: Mapping[str, str],
    hidden: Sequence[str],
    steps: Steps,
) -> None:
    """Build the tree at `root`, in a mount namespace of the caller's own.

    Args:
        root: Directory that is covered by the new tree.
        directories: Shown read-only where they are, besides the system's.
        packages: Name and source of each Python package that programs may import.
        hidden: Directories of other packages, shown as empty.
        steps: Where progress is noted.
    """
    with steps("private_mounts"):
        _kernel.mount(None, "/", None, _kernel.MS_REC | _kernel.MS_PRIVATE)
    with steps("root_tmpfs"):
        _kernel.mount("root", root, "tmpfs", _kernel.MS_NOSUID, "size=1m,nr_inodes=4k,mode=0755")
        for path in ("/proc", "/tmp", "/etc"):  # noqa: S108 - paths behind the wall
            os.mkdir(root + path)
        for path, text in FILES.items():
            with open(root + path, "w") as file:
                file.write(text)
        _make_devices(root)
    with steps("read_only_binds"):
        _bind_system(root, directories)
        _bind_packages(root, packages, hidden)
        _kernel.make_read_only(root)
        for name in _DEVICES:
            node = f"{root}/dev/{name}"
            _kernel.mount(f"/dev/{name}", node, None, _kernel.MS_BIND)
            _kernel.make_read_only(node, devices=True)


def enter(root: str, steps: Steps) -> None:
    """Make the tree the root of this process, with a process list of its own pid namespace."""
    with steps("proc"):
        flags = _kernel.MS_NOSUID | _kernel.MS_NODEV | _kernel.MS_NOEXEC
        _kernel.mount("proc", root + "/proc", "proc", flags)
    with steps("pivot_root"):
        # What another namespace mounted is locked here; a bind mount of it is ours and can become the root.
        _kernel.mount(root, root, None, _kernel.MS_BIND | _kernel.MS_REC)
        _kernel.pivot_into(root)
