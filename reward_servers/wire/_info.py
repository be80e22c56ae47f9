"""From the core's types to messages: what a server tells of itself."""

from __future__ import annotations

from collections.abc import Sequence

from reward_servers import __version__
from reward_servers.core import Admission, BoundVerifier, Cost, Scorer, Share, schema_of
from reward_servers.wire._write import duration
from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

_COSTS = {
    Cost.TRIVIAL: service_pb2.COST_CLASS_TRIVIAL,
    Cost.CPU: service_pb2.COST_CLASS_CPU,
    Cost.SANDBOX: service_pb2.COST_CLASS_SANDBOX,
    Cost.NETWORK: service_pb2.COST_CLASS_NETWORK,
    Cost.DEVICE: service_pb2.COST_CLASS_DEVICE,
}
_LONGEST_NAME = 200


def identity(hosted: BoundVerifier | None, name: str, aspects: Sequence[str]) -> types_pb2.VerifierIdentity:
    """The header entry of an evaluation; a verifier that is not hosted has a name only."""
    if hosted is None:
        return types_pb2.VerifierIdentity(name=name)
    hosted_identity = hosted.identity
    return types_pb2.VerifierIdentity(
        name=hosted_identity.name, version=hosted_identity.version, digest=hosted_identity.digest, aspects=aspects
    )


def load(admission: Admission, draining: bool) -> types_pb2.ServerLoad:
    """How busy the server is."""
    return types_pb2.ServerLoad(
        items_in_flight=max(0, admission.items),
        bytes_in_flight=max(0, admission.bytes),
        items_limit=admission.limits.max_items,
        bytes_limit=admission.limits.max_bytes,
        draining=draining,
    )


def describe(hosted: BoundVerifier, origin: str) -> service_pb2.VerifierInfo:
    """Everything a caller can know about a verifier."""
    verifier, limits = hosted.verifier, hosted.limits
    return service_pb2.VerifierInfo(
        identity=identity(hosted, verifier.name, tuple(verifier.aspects)),
        description=verifier.description,
        scope=service_pb2.SCOPE_GROUP if verifier.scope == "group" else service_pb2.SCOPE_ROLLOUT,
        deterministic=verifier.deterministic,
        cost_class=_COSTS[verifier.cost],
        score_min=verifier.low,
        score_max=verifier.high,
        floor=verifier.floor,
        reference_schema_json=schema_of(verifier.reference),
        options_schema_json=schema_of(verifier.options),
        limits=service_pb2.ItemLimits(
            cpu=duration(limits.cpu_s),
            wall=duration(limits.wall_s),
            memory_bytes=limits.memory_bytes,
            response_bytes=limits.response_bytes,
        ),
        origin=origin,
    )


def entry(scorer: Scorer, address: str, name: str, draining: bool) -> registry_pb2.ServerEntry:
    """What a server tells a registry of itself, but for the name of its process."""
    verifiers = [
        types_pb2.VerifierIdentity(
            name=hosted_identity.name, version=hosted_identity.version, digest=hosted_identity.digest
        )
        for hosted_identity in (hosted.identity for hosted in scorer.hosting.all())
    ]
    return registry_pb2.ServerEntry(
        address=address, name=name, version=__version__, verifiers=verifiers, load=load(scorer.admission, draining)
    )


def client_share(scorer: Scorer, client: str) -> service_pb2.ClientShare:
    """What a client has in flight, and what it may have."""
    share, limits = scorer.admission.shares.get(client, Share()), scorer.limits
    return service_pb2.ClientShare(
        name=client,
        items_in_flight=share.items,
        bytes_in_flight=share.bytes,
        items_limit=limits.max_client_items,
        bytes_limit=limits.max_client_bytes,
    )


def clients(scorer: Scorer) -> list[service_pb2.ClientShare]:
    """Who has had something judged since the server started."""
    shares = []
    for name, items in sorted(scorer.stats.clients.items()):
        if items:
            share = client_share(scorer, name)
            share.items = items
            shares.append(share)
    return shares


def activity(scorer: Scorer) -> list[service_pb2.VerifierActivity]:
    """What each verifier has done."""
    return [
        service_pb2.VerifierActivity(
            verifier=name,
            verdicts=stats.total("verdict"),
            faults=stats.total("fault"),
            skips=stats.total("skip"),
            cached=stats.cached,
            run_seconds=stats.run.seconds,
            run_p50=stats.run.quantile(0.5),
            run_p99=stats.run.quantile(0.99),
            queue_p99=stats.queue.quantile(0.99),
        )
        for name, stats in sorted(scorer.stats.verifiers.items())
    ]


def slow_items(scorer: Scorer) -> list[service_pb2.SlowItem]:
    """The items that took longest recently."""
    return [
        service_pb2.SlowItem(
            verifier=item.verifier,
            rollout_id=item.rollout_id[:_LONGEST_NAME],
            request_id=item.origin[0][:_LONGEST_NAME],
            run=item.origin[1][:_LONGEST_NAME],
            step=item.origin[2],
            code=item.code,
            queue_us=item.queue_us,
            run_us=item.run_us,
            cpu_us=item.cpu_us,
            why=item.why,
            at=item.at,
        )
        for item in scorer.stats.slow
    ]
