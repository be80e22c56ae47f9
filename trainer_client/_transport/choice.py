"""Which replica of a server gets work, and what they offer together."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping, Sequence

from trainer_client._transport.replica import Health, Replica
from trainer_client.result.verifiers import Hosted, ServerInfo, VerifierInfo


def choose(
    replicas: Sequence[Replica], needs: Mapping[str, str], avoid: Collection[str], suspect: bool, items: int
) -> Replica | None:
    """The replica with the fewest items outstanding of those that can take a call.

    Args:
        replicas: all of a server.
        needs: digest by verifier, empty for any.
        avoid: addresses that are taken only when there is no other.
        suspect: whether the call may be the one that breaks servers.
        items: its size.
    """
    able = [r for r in replicas if r.can_serve(needs)]
    if len(able) > 1:
        fresh = [r for r in able if r.address not in avoid] if avoid else able
        now = asyncio.get_running_loop().time()
        able = [r for r in fresh if r.distrusted_until <= now] or fresh or able
    free = [r for r in able if r.has_room(items) and not (suspect and r.suspects)]
    if not free:
        return None
    least = min(r.outstanding for r in free)
    return random.choice([r for r in free if r.outstanding == least])  # noqa: S311 (breaks ties, guards nothing)


def has_other(replicas: Sequence[Replica], needs: Mapping[str, str], but: Collection[str]) -> bool:
    """Whether a replica can be asked that is not one of those."""
    return any(
        r.address not in but and (r.can_serve(needs) or (r.health is Health.UNKNOWN and not r.retired))
        for r in replicas
    )


def has_better(replicas: Sequence[Replica], replica: Replica, needs: Mapping[str, str]) -> bool:
    """Whether a replica gives mostly faults, and another one does not as far as is known."""
    return replica.mostly_fails and any(
        r is not replica and r.can_serve(needs) and not r.mostly_fails for r in replicas
    )


def has_time(replicas: Sequence[Replica], needs: Mapping[str, str], but: Replica, items: int, silence: float) -> bool:
    """Whether another replica could take over work: it has nothing to do, or gets on with what it has."""
    now = asyncio.get_running_loop().time()
    return any(
        r is not but
        and r.can_serve(needs)
        and r.distrusted_until <= now
        and r.has_room(items)
        and (not r.outstanding or now - r.heard <= silence)
        for r in replicas
    )


def count_usable(replicas: Sequence[Replica]) -> int:
    """Number of replicas that are not known to be down; at least 1."""
    return max(1, sum(r.health is not Health.DOWN and not r.retired for r in replicas))


def pin_versions(replicas: Sequence[Replica], needs: Mapping[str, str], pins: dict[str, str]) -> bool:
    """Pin the versions that a recipe names, where a replica hosts them beside those that it pins otherwise.

    Args:
        replicas: all of a server.
        needs: version by verifier, empty for any.
        pins: digest by verifier; changed.

    Returns:
        Whether a pin has changed.
    """
    changed = False
    infos = [r.info for r in replicas if r.info is not None]
    for name, version in needs.items():
        identities = {
            verifier.id
            for info in infos
            for verifier in (*info.verifiers.values(), *info.earlier)
            if verifier.id.name == name
        }
        pinned = next((identity for identity in identities if identity.digest == pins.get(name)), None)
        newer = next((identity for identity in identities if identity.version == version), None)
        if version and pinned is not None and pinned.version != version and newer is not None:
            pins[name] = newer.digest
            changed = True
    return changed


def joint_info(replicas: Sequence[Replica], names: Collection[str], pins: Mapping[str, str]) -> ServerInfo | None:
    """What the replicas that are up say of themselves, the limits of the least; None if no one hosts a name."""
    up = [r.info for r in replicas if r.health is Health.UP and r.info is not None and not r.retired]
    verifiers: dict[str, VerifierInfo] = {}
    for info in up:
        for name, current in info.verifiers.items():
            verifier = info.find(name, pins.get(name, "")) or current
            if name not in verifiers or verifier.id.digest == pins.get(name):
                verifiers[name] = verifier
    hosted = Hosted(verifiers)
    if not up or any(name not in hosted for name in names):
        return None
    return up[0]._replace(
        verifiers=hosted,
        max_items=min((info.max_items for info in up if info.max_items), default=0),
        max_message_bytes=min((info.max_message_bytes for info in up if info.max_message_bytes), default=0),
    )
