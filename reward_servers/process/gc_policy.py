"""How Python collects reference cycles in a process that serves."""

from __future__ import annotations

import gc


def freeze_garbage() -> None:
    """Make collections rare: items are freed by their counts, and walking a full cache costs a fifth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
