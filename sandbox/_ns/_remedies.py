"""What an operator can do about each step of the isolation that a host refuses."""

from __future__ import annotations

_CONTAINER = (
    "In a container run with --security-opt seccomp=unconfined --security-opt systempaths=unconfined "
    "(or a seccomp profile that adds unshare, clone with namespace flags, mount, umount2, pivot_root and "
    "mount_setattr); see docs/sandbox.md, Deployment."
)
_USER_NAMESPACES = (
    "Allow unprivileged user namespaces: user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 "
    "(Debian), kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile (Ubuntu). "
)
_REMEDIES = {
    "architecture": "Run on x86_64 or aarch64 with a 64-bit personality.",
    "user_namespace": _USER_NAMESPACES + _CONTAINER,
    "id_maps": "Run as an ordinary user, or as root with CAP_SETUID and CAP_SETGID. " + _CONTAINER,
    "ids": "Run as an ordinary user, or as root with CAP_SETUID and CAP_SETGID.",
    "drop_groups": "Run as an ordinary user, or as root with CAP_SETGID.",
    "private_mounts": _CONTAINER,
    "root_tmpfs": _CONTAINER,
    "read_only_binds": "Linux 5.12 or newer is needed. " + _CONTAINER,
    "proc": "The container engine masks parts of /proc. " + _CONTAINER,
    "pivot_root": _CONTAINER,
    "host_name": _CONTAINER,
    "filter": "Build the kernel with CONFIG_SECCOMP_FILTER.",
    "seccomp": "Build the kernel with CONFIG_SECCOMP_FILTER and allow seccomp(2). " + _CONTAINER,
    "cgroup": "Delegate a cgroup with the memory controller, or set cgroup = auto to bound each process by itself.",
}


def remedy(step: str) -> str:
    """Return what to do about a failed step."""
    return _REMEDIES.get(step, _CONTAINER)
