"""Checks of a verifier, for its own tests.

    from reward_servers.testing import check_hacks, check_verifier

    def test_exact() -> None:
        check_verifier(exact, "cases.jsonl")
        check_hacks(exact, "cases.jsonl")

The verifier is served as it will be, in a process of its own with its limits, and asked over gRPC. ``check_verifier``
asks about labelled rollouts and about what every verifier has to bear; ``check_hacks`` tries what a policy would.
Each starts a server of its own; ``with serve(exact, near) as server`` starts one for several checks, which take it as
``server=server``.
"""

from reward_servers.testing._cases import options_of_lines
from reward_servers.testing._examples import example_rows
from reward_servers.testing._findings import VerifierCheckError
from reward_servers.testing._hacks import HACKS, HONEST_FORMS, HackReport, check_hacks
from reward_servers.testing._laws import CheckReport, check_verifier
from reward_servers.testing._served import CheckServer, serve

__all__ = [
    "HACKS",
    "HONEST_FORMS",
    "CheckReport",
    "CheckServer",
    "HackReport",
    "VerifierCheckError",
    "check_hacks",
    "check_verifier",
    "example_rows",
    "options_of_lines",
    "serve",
]
