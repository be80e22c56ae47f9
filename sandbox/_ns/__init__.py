"""Backend `ns`: Linux namespaces, seccomp, limits and cgroups, without daemon, setuid program or compiled part.

owner (the process that opened the slot)
└─ launcher        outside the walls; ends the slot and removes its cgroups when either side is gone
└─ zygote     first process of the slot's namespaces; interpreter and packages loaded; never runs a program
└─ init  first process of one run's user, pid, mount and ipc namespaces
└─ program
"""
