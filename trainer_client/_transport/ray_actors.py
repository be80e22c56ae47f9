"""Where servers are, as a Ray cluster knows them: ``ray:NAME`` among the endpoints of a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from trainer_client._transport.shortening import few

NAMESPACE: Final = "assay"
PREFIX: Final = "server:"
"""Actors named ``server:NAME:...`` in this namespace answer ``address()``."""
_TIMEOUT: Final = 2.0
_LONGEST: Final = 300


class RayView:
    """The servers whose actors have a name. While Ray does not answer, the last list counts.

    Args:
        name: what the servers are called.

    Attributes:
        trouble: why there is no server, if there is none, and which actors are left out.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._known: dict[str, str] = {}
        self.trouble = ""

    async def look(self) -> Sequence[str]:
        """Addresses of the servers as they are now."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> list[str]:
        try:
            # Whoever has servers in Ray has it imported already.
            import ray
        except ImportError:
            self.trouble = f"ray:{self._name}: Ray is not installed here; pip install 'assay[ray]'"
            return []
        if not ray.is_initialized():
            self.trouble = f"ray:{self._name}: this process is in no Ray cluster; call ray.init(address=...) first"
            return list(self._known.values())
        try:
            self._known = self._ask(ray)
        except (ray.exceptions.RayError, OSError, RuntimeError) as error:
            self.trouble = f"ray:{self._name}: Ray does not answer ({error})"
        return list(self._known.values())

    def _ask(self, ray: Any) -> dict[str, str]:
        listed = ray.util.list_named_actors(all_namespaces=True)
        names = [actor["name"] for actor in listed if actor["namespace"] == NAMESPACE]
        pending: dict[str, Any] = {}
        odd: dict[str, str] = {}
        # An actor that does not answer as it should hides no other. In the order of names: the same words each time.
        for name in sorted(name for name in names if name.startswith(f"{PREFIX}{self._name}:")):
            try:
                pending[name] = ray.get_actor(name, namespace=NAMESPACE).address.remote()
            except ValueError:
                continue  # it has ended meanwhile
            except AttributeError:
                odd[name] = "has no method `address`"
        urls: dict[str, str] = {}
        ready, _ = ray.wait(list(pending.values()), num_returns=len(pending), timeout=_TIMEOUT) if pending else ([], [])
        for name, reference in pending.items():
            if reference not in ready:
                # It starts, or its node is gone: the client finds out which of its addresses answer.
                if name in self._known:
                    urls[name] = self._known[name]
                continue
            try:
                answer = ray.get(reference)
            except ray.exceptions.RayActorError:
                continue
            except Exception as error:  # noqa: BLE001 (an actor raises what it likes)
                odd[name] = _reason(error)
                continue
            if isinstance(answer, str):
                urls[name] = answer
            else:
                odd[name] = f"answers with {type(answer).__name__} and not with a text"
        hosted = sorted({name.split(":")[1] for name in names if name.startswith(PREFIX)})
        lack = "" if urls else f"no actor has such a server; there are: {', '.join(hosted) or 'none'}"
        troubles = [*([lack] if lack and not odd else []), *(f"actor {name!r} {why}" for name, why in odd.items())]
        self.trouble = f"ray:{self._name}: {few(troubles)}" if troubles else ""
        return urls


def _reason(error: Exception) -> str:
    """What an actor raised, without the traceback that Ray puts into the text."""
    cause = getattr(error, "cause", None) or error
    text = " ".join(str(cause).split())
    return f"does not say where it listens ({type(cause).__name__}: {text[:_LONGEST]}{'...' * (len(text) > _LONGEST)})"
