"""Options that are numbers or texts, and what all of them refuse before a command begins."""

from __future__ import annotations

import math
from typing import Any

import typer

from reward_servers.process.processors import MOST_WORKERS

_MOST_SECONDS = 1e6
"""Eleven days; the timers of the system and of gRPC take it, and no wait of a command is longer."""


def seconds(help: str, *, least: float) -> Any:
    """An option that is a number of seconds.

    Args:
        help: What it is for.
        least: The least of them.
    """
    return number(help, least=least, most=_MOST_SECONDS)


def number(help: str, *, least: float, most: float) -> Any:
    """An option that is a number between bounds.

    Args:
        help: What it is for.
        least: The least that it may be.
        most: The most that it may be.
    """
    return typer.Option(help=help, min=least, max=most, callback=_finite)


def worker_count(help: str) -> Any:
    """An option that is a number of worker processes.

    Args:
        help: Whose they are.
    """
    return typer.Option(help=help, min=1, max=MOST_WORKERS)


def _finite(value: float | None) -> float | None:
    # Bounds do not keep it out: no comparison with it is true.
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is no number; give one")
    return value


def text(value: str) -> str:
    """Refuse what no message can carry, as the callback of an option.

    Raises:
        BadParameter: It is not UTF-8.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("it is not valid UTF-8; give a text that is") from None
    return value
