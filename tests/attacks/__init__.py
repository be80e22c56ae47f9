"""Attacks on the sandbox: `python -m tests.attacks FILE...` plants, controls, runs and measures each line of the files.

Every line is run as root with a cgroup (if the command is started by root) and as an ordinary user without one.
Failures are printed one by one, then what was inconclusive or skipped, and `passed/total` last.
"""
