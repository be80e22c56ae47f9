"""Hostile programs by chance, each judged beside an honest one: `python -m tests.sandbox_fuzz --runs N --seed S`.

A hostile program is a row of acts on what runs share: processes, pipes, clocks, signals, files, locks, limits. It never
gives the right answer, so its verdict is a wrong one of some kind. Three things must not happen: a failure of ours, a
verdict of the honest program that differs from the one it has alone, and anything left on the host.
"""
