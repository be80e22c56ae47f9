"""What a server says of itself and of its verifiers."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from trainer_client._transport.failures import UnusableReplyError
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.verifiers import (
    ClientActivity,
    Hosted,
    ServerInfo,
    SlowItem,
    VerifierActivity,
    VerifierId,
    VerifierInfo,
)

_LARGEST: Final = sys.float_info.max
# A newer server may name a class that is not known here.
_COSTS: Final = {
    number: name.removeprefix("COST_CLASS_").lower() for name, number in service.CostClass.items() if number
}


def read_info(listing: service.ListVerifiersResponse, info: service.GetServerInfoResponse) -> ServerInfo:
    """Read what a server says of itself and of its verifiers.

    Raises:
        UnusableReplyError: it contradicts itself.
    """
    return ServerInfo(
        verifiers=Hosted(_read_verifiers(listing)),
        max_items=info.limits.max_items,
        max_message_bytes=info.limits.max_message_bytes,
        suggested_items=info.limits.suggested_items,
        items_limit=info.load.items_limit,
        draining=info.load.draining,
        result_forms=frozenset(info.result_forms),
        version=info.version,
        items_in_flight=info.load.items_in_flight,
        activity=[_read_activity(row) for row in info.activity],
        slow_items=[_read_slow_item(item) for item in info.slow_items],
        earlier=[_read_verifier(entry) for entry in listing.earlier],
        clients=[ClientActivity(client.name, client.items_in_flight, client.items) for client in info.clients],
    )


def form_of(info: ServerInfo | None, *, details: bool) -> service.ResultForm.ValueType:
    """The form in which a server is asked for results: the leanest that it offers and that holds what is wanted."""
    offered = info.result_forms if info is not None else frozenset[int]()
    forms = [service.RESULT_FORM_COLUMNS] if details else [service.RESULT_FORM_SCORES, service.RESULT_FORM_COLUMNS]
    return next((form for form in forms if form in offered), service.RESULT_FORM_UNSPECIFIED)


def _read_activity(row: service.VerifierActivity) -> VerifierActivity:
    return VerifierActivity(
        verifier=row.verifier,
        verdicts=row.verdicts,
        faults=row.faults,
        skips=row.skips,
        cached=row.cached,
        run_p50=row.run_p50,
        run_p99=row.run_p99,
        queue_p99=row.queue_p99,
    )


def _read_slow_item(item: service.SlowItem) -> SlowItem:
    return SlowItem(
        verifier=item.verifier,
        rollout_id=item.rollout_id,
        run=item.run,
        step=item.step,
        code=item.code,
        queue_seconds=item.queue_us * 1e-6,
        run_seconds=item.run_us * 1e-6,
        cpu_seconds=item.cpu_us * 1e-6,
        why=item.why,
    )


def _read_verifiers(listing: service.ListVerifiersResponse) -> dict[str, VerifierInfo]:
    verifiers: dict[str, VerifierInfo] = {}
    for entry in listing.verifiers:
        name = entry.identity.name
        if name in verifiers:
            raise UnusableReplyError(f"lists verifier {name!r} twice")
        verifiers[name] = _read_verifier(entry)
    return verifiers


def _read_verifier(entry: service.VerifierInfo) -> VerifierInfo:
    name = entry.identity.name
    low, high = entry.score_min, entry.score_max
    if low == high == 0.0:
        low, high = -_LARGEST, _LARGEST
    # False for NaN as well.
    if not (-_LARGEST <= low <= high <= _LARGEST and low <= entry.floor <= high):
        raise UnusableReplyError(f"verifier {name!r} declares scores from {low} to {high} with the floor {entry.floor}")
    return VerifierInfo(
        id=read_id(entry.identity),
        judges_groups=entry.scope == service.SCOPE_GROUP,
        is_trivial=entry.cost_class == service.COST_CLASS_TRIVIAL,
        is_deterministic=entry.deterministic,
        floor=entry.floor,
        description=entry.description,
        score_min=low,
        score_max=high,
        cost=_COSTS.get(entry.cost_class, ""),
        origin=entry.origin,
        limits={
            "cpu": entry.limits.cpu.ToNanoseconds() / 1e9,
            "wall": entry.limits.wall.ToNanoseconds() / 1e9,
            "memory": entry.limits.memory_bytes,
            "response": entry.limits.response_bytes,
        },
        reference_schema=_read_schema(name, entry.reference_schema_json),
        options_schema=_read_schema(name, entry.options_schema_json),
    )


def _read_schema(name: str, encoded: bytes) -> Any:
    try:
        return json.loads(encoded) if encoded else None
    except ValueError as error:
        raise UnusableReplyError(f"verifier {name!r} has a schema that is no JSON: {error}") from None


def read_id(identity: types.VerifierIdentity) -> VerifierId:
    """Read which verifier answers."""
    return VerifierId(identity.name, identity.version, identity.digest, tuple(identity.aspects))
