"""Names of `typing` for programs that write them in annotations without importing them.

Where solutions of this form come from they are known, and later versions of Python do not execute annotations at all.
A program may define its own.
"""

from __future__ import annotations

import builtins
import typing

for _name in typing.__all__:
    if not hasattr(builtins, _name):
        setattr(builtins, _name, getattr(typing, _name))
