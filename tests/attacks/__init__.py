"""Attacks on the sandbox: `python -m tests.attacks FILE...` plants, controls, runs and measures each line of the files.

Every line is run as root with a cgroup (if the command is started by root) and as an ordinary user without one.
The two services run side by side. Failures, what was inconclusive and what was skipped are printed line by line, and
`passed/total` last.
"""
