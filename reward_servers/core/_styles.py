"""Verifiers made of what was written for something else: ``STYLE+TARGET``, such as ``trl+my_rewards:accuracy``.

Packages announce styles by the entry-point group ``assay.styles``. A style is a function that makes a verifier of the
whole address, in the server and again in each of its workers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points

from reward_servers.core._errors import VerifierNotFoundError
from reward_servers.core._verifier import Verifier

GROUP = "assay.styles"
_ADDRESS = re.compile(r"([a-z][a-z0-9-]*)\+\S+")


def styles() -> list[str]:
    """Names of the styles that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def in_style(address: str) -> Verifier | None:
    """Make the verifier of an address.

    Returns:
        The verifier; None for what is no address with a style.

    Raises:
        VerifierNotFoundError: There is no such style, or nothing at the address.
        VerifierDefinitionError: What is there cannot be served.
    """
    matched = _ADDRESS.fullmatch(address)
    if matched is None:
        return None
    points = list(entry_points(group=GROUP, name=matched[1]))
    if not points:
        raise VerifierNotFoundError(f"{address}: there is no style {matched[1]!r}; there are {', '.join(styles())}")
    make: Callable[[str], Verifier] = points[0].load()
    return make(address)
