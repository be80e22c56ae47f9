"""Backend `docker`: a container is the wall, for hosts that let an engine make namespaces but not this process.

owner (the process that opened the slot)
└─ engine
└─ container       one for each size of disk in use; no network, read-only root, a few capabilities
└─ forker     its first process, root of the container; forks runs, never sees a job
└─ manager    a user of its own; holds what was prepared, drives runs as the owner of an `ns` slot does
└─ init       of one run; ends all that is left of it
└─ program    a user of its own, no capability, no_new_privs, the seccomp filter of `ns`, limits
"""
