"""A verifier as a server hosts it: with its settings, its digest, and, where it runs, its instance."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reward_servers.core._context import Ask, Context, VerifierId
from reward_servers.core._digest import digest_of, reads_names
from reward_servers.core._errors import FaultError, SettingsError, VerifierNotFoundError
from reward_servers.core._model import Group, Rollout
from reward_servers.core._outcomes import Fault, Outcome, Party, Verdict, to_verdict
from reward_servers.core._schemas import Options, Settings, decode, decode_reference
from reward_servers.core._styles import in_style
from reward_servers.core._verifier import Item, ItemLimits, Placement, Role, Verifier

Judged = Verdict | Fault
_KEPT_REFERENCE = 16 << 10
"""Bytes of a reference that is kept once read: those that many items share are short."""


@dataclass(frozen=True, slots=True, eq=False)
class BoundVerifier:
    """A verifier with what the operator gave it.

    Attributes:
        verifier: The declaration.
        settings: Its settings as JSON.
        identity: Name, version and digest, stamped on every response.
        limits: Bounds of one item here.
        named: Whether it may look at what rollouts and groups are called, so that its verdicts depend on that.
    """

    verifier: Verifier
    settings: bytes
    identity: VerifierId
    limits: ItemLimits
    named: bool = True


def bind(
    verifier: Verifier, settings: Mapping[str, Any] | None = None, limits: ItemLimits | None = None
) -> BoundVerifier:
    """Bind a verifier to its settings.

    Args:
        verifier: The declaration.
        settings: The operator's settings for it.
        limits: Bounds that replace the declared ones.

    Returns:
        The hosted verifier.

    Raises:
        SettingsError: The settings do not fit; the message names the key.
    """
    identity = VerifierId(verifier.name, verifier.version, digest_of(verifier, check_settings(verifier, settings)))
    encoded = json.dumps(dict(settings or {})).encode()
    return BoundVerifier(verifier, encoded, identity, limits or verifier.limits, reads_names(verifier.modules))


def check_settings(verifier: Verifier, settings: Mapping[str, Any] | None = None) -> Settings | None:
    """Read what an operator gave a verifier; None where it takes no settings.

    Raises:
        SettingsError: The settings do not fit; the message names the key.
    """
    root = f"verifiers.{verifier.name}"
    if verifier.settings is None:
        if settings:
            raise SettingsError(f"{root}: the verifier takes no settings; remove {', '.join(sorted(settings))}")
        return None
    try:
        return decode(verifier.settings, json.dumps(dict(settings or {})).encode(), root)
    except ValueError as error:
        raise SettingsError(str(error)) from None


def load_path(path: str) -> Verifier:
    """Import a verifier by its path.

    Args:
        path: ``module:name``, or the address of what is served in a style of its own, as ``Verifier.path`` gives it.

    Returns:
        The verifier.

    Raises:
        VerifierNotFoundError: There is no verifier at that path.
    """
    styled = in_style(path)
    if styled is not None:
        return styled
    module_name, _, qualname = path.partition(":")
    module: Any = importlib.import_module(module_name)
    target = module
    for part in qualname.split("."):
        target = getattr(target, part, None)
    if not isinstance(target, Verifier):
        available = ", ".join(
            f"{module_name}:{name}" for name, value in vars(module).items() if isinstance(value, Verifier)
        )
        raise VerifierNotFoundError(
            f"{path} is not a verifier: it must be a module-level name made by @verifier; "
            f"{f'there is {available}' if available else f'{module_name} has none'}"
        )
    return target


def floor_verdict(verifier: Verifier, code: str, note: str) -> Verdict:
    """The verdict of a candidate that its verifier could not judge to the end: the floor, its aspects included."""
    return Verdict(verifier.floor, code, tuple(verifier.floor_aspects.items()), note=note)


def limit_verdict(verifier: Verifier, note: str) -> Verdict:
    """The verdict of a candidate that exceeded a bound: the floor and code ``limit``."""
    return floor_verdict(verifier, "limit", note)


def replicate(subject: Rollout | Group, outcome: Outcome) -> list[Outcome]:
    """The same outcome for every rollout of a subject."""
    return [outcome] * (len(subject) if isinstance(subject, Group) else 1)


def outcome_of(error: BaseException, verifier: Verifier) -> Judged:
    """Say what an exception inside a verifier means for the item.

    Memory and stack are bounds that the candidate's content exhausted, so those are verdicts. Any other exception that
    is not a declared fault is a defect of the verifier, and a defect of ours is never a score.
    """
    if isinstance(error, FaultError):
        with contextlib.suppress(Exception):
            return error.to_fault()
    if isinstance(error, MemoryError):
        return limit_verdict(verifier, "memory limit")
    if isinstance(error, RecursionError):
        return limit_verdict(verifier, "nesting limit")
    return Fault(
        Party.SERVICE, "verifier_error", f"{verifier.name} raised {type(error).__name__}: {_error_text(error)}"[:2000]
    )


def _error_text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an error that cannot be written is a defect of the verifier as any other
        return "(what it says cannot be written)"


class Instance:
    """A verifier that has been set up and can be called, on the loop or in a worker."""

    def __init__(self, verifier: Verifier, settings: bytes) -> None:
        self.verifier = verifier
        self._object: Any = None
        function: Callable[..., Any] = verifier.target
        if verifier.is_class:
            self._object = verifier.target()
            if verifier.settings is not None:
                self._object.setup(verifier.settings.model_validate_json(settings))
            elif hasattr(self._object, "setup"):
                self._object.setup()
            function = self._object.score_batch if verifier.runs is Placement.DEVICE else self._object.score
        self.function = function
        self._prepare: Callable[[Item], Any] | None = getattr(self._object, "prepare", None)
        self._order = tuple(role.value for role in verifier.roles)
        self.takes_subject_alone = self._order == (Role.ROLLOUT.value,)
        self.wants_context = Role.CONTEXT in verifier.roles or verifier.runs is Placement.DEVICE
        self._options = lru_cache(maxsize=64)(self._decode_options)
        self._references = lru_cache(maxsize=256)(self._decode_reference)

    def _decode_options(self, options: bytes) -> Options | None:
        return None if self.verifier.options is None else decode(self.verifier.options, options, "options")

    def _decode_reference(self, data: bytes) -> Any:
        if self.verifier.reference is None:
            return None
        if not data and any(field.is_required() for field in self.verifier.reference.model_fields.values()):
            return Fault(
                Party.DATASET,
                "missing_reference",
                f"{self.verifier.name} needs a reference; give the rollout or its group a `reference` with "
                + ", ".join(self.verifier.reference.model_fields),
            )
        try:
            return decode_reference(self.verifier.reference, data)
        except ValueError as error:
            return Fault(Party.DATASET, "invalid_reference", str(error))

    def options(self, options: bytes) -> Options | None:
        """The decoded options; the request's plan has validated them."""
        return self._options(options)

    def reference(self, subject: Rollout | Group) -> Any:
        """The decoded reference, or the dataset fault that takes its place."""
        data = subject.reference
        return self._references(data) if len(data) <= _KEPT_REFERENCE else self._decode_reference(data)

    def arguments(self, subject: Rollout | Group, options: bytes, context: Context | None) -> list[Any] | Fault:
        """The arguments of the function in its own order, or the fault of a reference that cannot be used."""
        if self.takes_subject_alone:
            return [subject]
        reference = self.reference(subject)
        if isinstance(reference, Fault):
            return reference
        available = (subject, reference, self._options(options), context)
        return [available[place] for place in self._order]

    def context(
        self, subject: Rollout | Group, seed: int, deadline: float | None, ask: Ask | None = None
    ) -> Context | None:
        """The context of an item; None for a verifier that takes none."""
        if not self.wants_context:
            return None
        name = subject.rollout_id if isinstance(subject, Rollout) else subject.group_id
        return Context(self.verifier.name, name, run_seed=seed, deadline=deadline, ask=ask)

    def verdict(self, returned: object, *, details: bool = True) -> Judged:
        """Turn what the function returned for a rollout into its outcome: see `to_verdict`."""
        verifier = self.verifier
        floor, aspects = verifier.floor, verifier.floor_aspects
        return to_verdict(returned, verifier.low, verifier.high, floor, details=details, floor_aspects=aspects)

    def settle(self, returned: object, subject: Rollout | Group, context: Context | None) -> list[Judged]:
        """Turn what the function returned into outcomes: one for a rollout, one per rollout for a group."""
        verifier = self.verifier
        outcomes: list[Judged]
        if isinstance(subject, Rollout):
            outcomes = [self.verdict(returned)]
        elif isinstance(returned, Fault):
            outcomes = [returned] * len(subject)
        elif not isinstance(returned, Sequence) or len(returned) != len(subject):
            problem = f"{verifier.name} returned {_shape(returned)} for a group of {len(subject)}"
            outcomes = [Fault(Party.SERVICE, "invalid_score", problem)] * len(subject)
        else:
            outcomes = [self.verdict(returned_value) for returned_value in returned]
        if context is not None and context.used:
            outcomes = [_record_used(outcome, context) for outcome in outcomes]
        return outcomes

    @property
    def concurrency(self) -> int:
        """Items that may run side by side: what ``setup`` chose as ``self.concurrency``, or what is declared."""
        return int(getattr(self._object, "concurrency", self.verifier.concurrency))

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch: what ``setup`` chose as ``self.batch_tokens``; 0 when only items are counted."""
        return int(getattr(self._object, "batch_tokens", 0))

    @property
    def item_tokens(self) -> int:
        """Tokens of an item that are computed at most: ``self.item_tokens`` of ``setup``; 0 where there is no bound."""
        return int(getattr(self._object, "item_tokens", 0))

    def prepare(self, item: Item) -> Any:
        """What a batching verifier does with an item before the device takes it; None for one that does nothing."""
        return None if self._prepare is None else self._prepare(item)

    def facts(self) -> dict[str, str]:
        """What the verifier tells of the host it runs on, such as what bounds a program's memory."""
        facts_method = getattr(self._object, "facts", None)
        facts: Mapping[str, object] = facts_method() if facts_method is not None else {}
        return {f"{self.verifier.name}.{name}": str(value) for name, value in facts.items()}

    def close(self) -> object:
        """Release what ``setup`` took.

        Returns:
            What the verifier's ``close`` returned: an awaitable when it is a coroutine, for callers on the loop.
        """
        close = getattr(self._object, "close", None)
        return close() if close is not None else None


def _shape(returned: object) -> str:
    return f"{len(returned)} scores" if isinstance(returned, Sequence) else type(returned).__name__


def _record_used(outcome: Judged, context: Context) -> Judged:
    """Add to the evidence which verifiers were asked, so that the score can be replayed."""
    if isinstance(outcome, Fault):
        return outcome
    evidence = json.loads(outcome.evidence) if outcome.evidence else {}
    evidence["used"] = {
        name: {"version": identity.version, "digest": identity.digest} for name, identity in context.used.items()
    }
    outcome.evidence = json.dumps(evidence, ensure_ascii=False).encode()
    return outcome
