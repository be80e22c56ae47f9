"""Labelled programs and rollouts, judged and compared with their labels: `python -m tests.code_cases FILE...`.

A line of a file is either a program with its tests (`mode`, `code`, `tests`, `compare`, `limits`, `expect`) or a
rollout (`response`, `reference`, `expected`). Label and judgement agree in verdict, verdict of every test, and score
within 1e-5, as far as the line gives them.
"""
