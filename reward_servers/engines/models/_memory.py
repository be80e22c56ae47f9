"""What running out of memory looks like."""

from __future__ import annotations


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that a device has no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)
