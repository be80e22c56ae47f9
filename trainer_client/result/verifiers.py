"""What a server says of itself and of its verifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class VerifierId(NamedTuple):
    """A verifier as it answered.

    Attributes:
        name: its name.
        version: its version.
        digest: digest of its code version, settings that shape scores, and runtime.
        aspects: names of the parts of its judgements.
    """

    name: str
    version: str
    digest: str
    aspects: tuple[str, ...] = ()


class VerifierInfo(NamedTuple):
    """What a server says of a verifier.

    Attributes:
        id: name, version, digest, aspects.
        judges_groups: whether it judges the rollouts of a prompt together.
        is_trivial: whether a judgement takes microseconds, so that none holds up others.
        is_deterministic: whether it gives the same item the same verdict, so that two at once cannot disagree.
        floor: its score for a candidate that gave nothing to judge.
        description: what it judges, in a sentence.
        score_min: its lowest score; where it declares no range, the lowest number.
        score_max: its highest score; where it declares no range, the highest number.
        cost: what a judgement costs: trivial, cpu, sandbox, network or device; empty when it does not say.
        origin: the package that it comes from, and its import path.
        limits: bounds of one item: CPU and wall time in seconds, memory and response in bytes.
        reference_schema: JSON schema of the references that it reads; None when it reads none.
        options_schema: JSON schema of its options; None when it has none.
    """

    id: VerifierId
    judges_groups: bool
    is_trivial: bool
    is_deterministic: bool
    floor: float
    description: str
    score_min: float
    score_max: float
    cost: str = ""
    origin: str = ""
    limits: Mapping[str, float] = {}
    reference_schema: Any = None
    options_schema: Any = None


class Hosted(dict[str, VerifierInfo]):
    """What a server hosts, by name; found by import path (``module:attribute``) as well, which recipes may give."""

    def __init__(self, verifiers: Mapping[str, VerifierInfo]) -> None:
        super().__init__(verifiers)
        self._paths = {info.origin.rpartition(", ")[2]: name for name, info in verifiers.items() if info.origin}

    def _name(self, name: object) -> object:
        return self._paths.get(name, name) if isinstance(name, str) and ":" in name else name

    def __contains__(self, name: object) -> bool:
        return super().__contains__(self._name(name))

    def __getitem__(self, name: str) -> VerifierInfo:
        return super().__getitem__(str(self._name(name)))

    def get(self, name: str, default: Any = None) -> Any:
        """The verifier of that name or path, or something else."""
        return super().get(str(self._name(name)), default)


class VerifierActivity(NamedTuple):
    """What a verifier has done since its server started.

    Attributes:
        verifier: its name.
        verdicts: items that got a verdict.
        faults: items that got a fault.
        skips: items that were skipped.
        cached: items whose verdict came from the cache, or from another item's run.
        run_p50: seconds that an item ran, the median.
        run_p99: its 99th percentile.
        queue_p99: 99th percentile of the seconds that an item waited.
    """

    verifier: str
    verdicts: int
    faults: int
    skips: int
    cached: int
    run_p50: float
    run_p99: float
    queue_p99: float


class SlowItem(NamedTuple):
    """An item that took long.

    Attributes:
        verifier: name of the verifier.
        rollout_id: the rollout, or the group of a verifier that judges groups.
        run: name of the training run.
        step: training step.
        code: code of its outcome.
        queue_seconds: how long it waited.
        run_seconds: how long it ran.
        cpu_seconds: processor time of its own work.
        why: ``"queued"``, ``"computing"``, ``"waiting"`` or ``"retried"``.
    """

    verifier: str
    rollout_id: str
    run: str
    step: int
    code: str
    queue_seconds: float
    run_seconds: float
    cpu_seconds: float
    why: str


class ClientActivity(NamedTuple):
    """What a client of a server has asked.

    Attributes:
        name: the client, as ``cert:NAME``, ``token:NAME`` or ``addr:ADDRESS``.
        items_in_flight: its items that are admitted and not finished.
        items: items that it has sent since the server started.
    """

    name: str
    items_in_flight: int
    items: int


class Wait(NamedTuple):
    """Something that a client waits for.

    Attributes:
        server: name of the server in the recipe.
        address: the endpoint.
        verifiers: what it was asked.
        items: items without an answer; 0 for an endpoint that cannot be asked.
        seconds: how long it has given no result.
        reason: why it cannot be asked; empty when it can.
    """

    server: str
    address: str
    verifiers: tuple[str, ...]
    items: int
    seconds: float
    reason: str = ""

    def __str__(self) -> str:
        subject = f"{', '.join(self.verifiers)} at " if self.verifiers else f"server {self.server!r} at "
        items = f", {self.items} items" if self.items else ""
        return f"{subject}{self.address} for {self.seconds:.0f} s{items}{f': {self.reason}' if self.reason else ''}"


class ServerInfo(NamedTuple):
    """What a server says of itself; 0 where it sets no limit.

    Attributes:
        verifiers: what it hosts, by name.
        max_items: rollouts times evaluations in one call.
        max_message_bytes: size of one message.
        suggested_items: a size of calls at which it works well.
        items_limit: items that may be in flight there.
        draining: whether it takes no more work.
        result_forms: numbers of the forms in which it can write results, beside rows.
        version: version of its software.
        items_in_flight: items that it has admitted and not finished.
        activity: what each verifier has done, where it was asked for.
        slow_items: items that took longest recently, the slowest first, where they were asked for.
        earlier: other versions of those verifiers that it hosts for callers that have pinned them.
        clients: who has asked, where that was asked for by one who may be told.
    """

    verifiers: Mapping[str, VerifierInfo]
    max_items: int
    max_message_bytes: int
    suggested_items: int
    items_limit: int
    draining: bool
    result_forms: frozenset[int] = frozenset()
    version: str = ""
    items_in_flight: int = 0
    activity: Sequence[VerifierActivity] = ()
    slow_items: Sequence[SlowItem] = ()
    earlier: Sequence[VerifierInfo] = ()
    clients: Sequence[ClientActivity] = ()

    def find(self, name: str, digest: str = "") -> VerifierInfo | None:
        """The verifier of a name with a digest, empty for the current one; None where it is not hosted."""
        current = self.verifiers.get(name)
        if current is None or digest in ("", current.id.digest):
            return current
        return next(
            (verifier for verifier in self.earlier if (verifier.id.name, verifier.id.digest) == (name, digest)), None
        )
