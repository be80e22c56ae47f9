"""Reward servers: write a verifier, serve it, and let any trainer ask it.

    from reward_servers import Reference, Rollout, verifier

    class Answer(Reference):
        answer: str

    @verifier("acme/exact", version="1")
    def exact(rollout: Rollout, ref: Answer) -> bool:
        return rollout.response.strip() == ref.answer

Names are loaded on first use, so that the libraries under ``reward_servers.engines`` can be imported on their own at
no cost.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_servers.core import (
        CallerError,
        Context,
        Cost,
        DatasetError,
        Document,
        Fault,
        FaultError,
        Group,
        Item,
        ItemLimits,
        Options,
        Party,
        Reference,
        Rollout,
        Score,
        ServiceError,
        Settings,
        StartupError,
        Step,
        UpstreamError,
        Verdict,
        Verifier,
        verifier,
    )
    from trainer_client import __version__ as __version__

__all__ = [
    "CallerError",
    "Context",
    "Cost",
    "DatasetError",
    "Document",
    "Fault",
    "FaultError",
    "Group",
    "Item",
    "ItemLimits",
    "Options",
    "Party",
    "Reference",
    "Rollout",
    "Score",
    "ServiceError",
    "Settings",
    "StartupError",
    "Step",
    "UpstreamError",
    "Verdict",
    "Verifier",
    "verifier",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module("trainer_client").__version__
    if name in __all__:
        try:
            return getattr(importlib.import_module("reward_servers.core"), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("reward_servers"):
                raise
            # The base install is the trainer's client; this package comes with it all the same.
            raise ModuleNotFoundError(
                f"reward_servers needs the package {error.name}; install it with `pip install 'assay[server]'`",
                name=error.name,
            ) from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
