"""Shaping: a reward is changed row by row before anything is compared.

Length penalties so far: `overlong_penalty` with its three published ends, and `stop_properly`.
"""

from ._overlong import Beyond, overlong_penalty, stop_properly

__all__ = ["Beyond", "overlong_penalty", "stop_properly"]
