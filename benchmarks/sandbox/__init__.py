"""Cost of the sandbox against plain processes, side by side in one run: `python -m benchmarks.sandbox`.

Absolute times belong to the host; the ratios are what to read. CPU is that of everything started, read from a
control group around the whole benchmark, so it is measured as root (or with a delegated group) only.
"""
