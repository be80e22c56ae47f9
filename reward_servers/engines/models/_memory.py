"""Recognises errors of torch that mean too little memory or a lost device."""

from __future__ import annotations


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error of torch says that a device has no memory left."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error)


def is_lost_device(error: RuntimeError) -> bool:
    """Whether an error of torch means that a device is lost for this process.

    After an error of CUDA or HIP other than one of memory every later call fails in the same way.
    """
    import torch

    if is_out_of_memory(error):
        return False
    kinds = getattr(torch, "AcceleratorError", ())
    return isinstance(error, kinds) or str(error).startswith(("CUDA error:", "HIP error:"))
