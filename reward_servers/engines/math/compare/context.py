"""What a comparator is given: the policy, and how to compare the parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from reward_servers.engines.math.nodes import Node
from reward_servers.engines.math.policy import Limits, Policy
from reward_servers.engines.math.values.scalars import Answer


class Context(NamedTuple):
    """The policy of a comparison and the two ways to compare parts.

    Attributes:
        policy: What is accepted.
        equal: Compares a part of the gold with a part of the answer, whatever kinds they are.
        scalar: Compares two expressions of one value each.
    """

    policy: Policy
    equal: Callable[[Node, Node], Answer]
    scalar: Callable[[Node, Node], Answer]

    @property
    def limits(self) -> Limits:
        """The bounds of the policy."""
        return self.policy.limits
