"""The metrics of one server process."""

from __future__ import annotations

import platform
import resource
import time
from pathlib import Path

from reward_servers.core import Scorer
from reward_servers.observe._exposition import Family

_STARTED = time.time()


def server_families(
    scorer: Scorer, version: str, *, draining: bool, certificate_ends: float | None = None
) -> list[Family]:
    """What a server tells of itself.

    Args:
        scorer: Its core.
        version: Its version.
        draining: Whether it takes nothing new.
        certificate_ends: When its certificate ends, in seconds since 1970; None in plain text.
    """
    certificate = Family("assay_certificate_end_timestamp_seconds", "gauge", "When the certificate in use ends.")
    if certificate_ends is not None:
        certificate.add(certificate_ends)
    return [
        Family("assay_build_info", "gauge", "Version of the software; always 1.").add(
            1, version=version, python=platform.python_version()
        ),
        certificate,
        *_verifiers(scorer),
        *_load(scorer, draining=draining),
        *_calls(scorer),
        *_workers(scorer),
        *process_families(),
    ]


def _verifiers(scorer: Scorer) -> list[Family]:
    info = Family("assay_verifier_info", "gauge", "Verifiers that are hosted, with version and digest; always 1.")
    items = Family("assay_items_total", "counter", "Items by outcome; party is whose failure a fault is.")
    cached = Family("assay_cached_items_total", "counter", "Items answered from the cache or by another item's run.")
    queue = Family("assay_item_queue_seconds", "histogram", "Time that items waited before they ran.")
    run = Family("assay_item_run_seconds", "histogram", "Time that items ran.")
    for identity in (bound.identity for bound in scorer.hosting.all()):
        info.add(1, verifier=identity.name, version=identity.version, digest=identity.digest)
    for name, stats in scorer.stats.verifiers.items():
        for (kind, party, code), count in sorted(stats.outcomes.items()):
            items.add(count, verifier=name, outcome=kind, party=party, code=code)
        cached.add(stats.cached, verifier=name)
        queue.add_histogram(stats.queue, verifier=name)
        run.add_histogram(stats.run, verifier=name)
    return [info, items, cached, queue, run]


def _load(scorer: Scorer, *, draining: bool) -> list[Family]:
    admission, limits, cache = scorer.admission, scorer.limits, scorer.cache
    shares = Family("assay_client_items_in_flight", "gauge", "Items admitted and not finished, by client.")
    for name, share in sorted(admission.shares.items(), key=lambda item: -item[1].items)[:64]:
        shares.add(share.items, client=name)
    return [
        Family("assay_items_in_flight", "gauge", "Items admitted and not finished.").add(admission.items),
        Family("assay_items_limit", "gauge", "Items that are admitted at most.").add(limits.max_items),
        Family("assay_bytes_in_flight", "gauge", "Bytes of requests that are not finished.").add(admission.bytes),
        Family("assay_bytes_limit", "gauge", "Bytes of requests that are admitted at most.").add(limits.max_bytes),
        Family("assay_refused_total", "counter", "Calls and chunks refused because the server was full.").add(
            admission.refused
        ),
        shares,
        Family("assay_cache_entries", "gauge", "Verdicts in the cache.").add(len(cache)),
        Family("assay_cache_bytes", "gauge", "Bytes of the verdicts in the cache.").add(cache.size),
        Family("assay_cache_lookups_total", "counter", "Lookups in the cache.")
        .add(cache.hits, result="hit")
        .add(cache.misses, result="miss"),
        Family("assay_draining", "gauge", "Whether the server finishes its work and takes no more.").add(draining),
    ]


def _calls(scorer: Scorer) -> list[Family]:
    stats = scorer.stats
    calls = Family("assay_calls_total", "counter", "Calls by method and status.")
    for (method, status), count in sorted(stats.calls.items()):
        calls.add(count, method=method, status=status)
    clients = Family("assay_client_items_total", "counter", "Items that clients have sent.")
    for client, count in sorted(stats.clients.items()):
        clients.add(count, client=client)
    return [
        calls,
        clients,
        Family("assay_received_bytes_total", "counter", "Bytes of requests with rollouts.").add(stats.received_bytes),
        Family("assay_sent_bytes_total", "counter", "Bytes of answers.").add(stats.sent_bytes),
    ]


def _workers(scorer: Scorer) -> list[Family]:
    ready = Family("assay_workers_ready", "gauge", "Worker processes that are ready.")
    target = Family("assay_workers", "gauge", "Worker processes that there should be.")
    for pool, (running, size) in scorer.hosting.pools().items():
        ready.add(running, pool=pool)
        target.add(size, pool=pool)
    deaths = Family("assay_worker_deaths_total", "counter", "Worker processes that ended and were replaced, by cause.")
    for (pool, cause), count in sorted(scorer.stats.worker_deaths.items()):
        deaths.add(count, pool=pool, cause=cause)
    return [ready, target, deaths]


def process_families() -> list[Family]:
    """What this process takes of the host, under the usual names."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()
    return [
        Family("process_cpu_seconds_total", "counter", "CPU time of the process.").add(usage.ru_utime + usage.ru_stime),
        Family("process_resident_memory_bytes", "gauge", "Memory of the process.").add(resident),
        Family("process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.").add(_STARTED),
    ]
