"""What a server says of itself and of its verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


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
    """

    id: VerifierId
    judges_groups: bool
    is_trivial: bool
    is_deterministic: bool
    floor: float
    description: str
    score_min: float
    score_max: float


class ServerInfo(NamedTuple):
    """What a server says of itself; 0 where it sets no limit."""

    verifiers: Mapping[str, VerifierInfo]
    max_items: int
    max_message_bytes: int
    suggested_items: int
    items_limit: int
    draining: bool
