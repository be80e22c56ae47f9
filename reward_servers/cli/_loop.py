"""Runs what serves on the fastest loop that is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def run_on_loop(serving: Coroutine[Any, Any, None]) -> None:
    """Run to its end: on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ModuleNotFoundError:
        asyncio.run(serving)
    else:
        uvloop.run(serving)
