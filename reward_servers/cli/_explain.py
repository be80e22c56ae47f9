"""``assay explain``: how an answer compares with a reference, step by step, without a server."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from reward_servers.cli._errors import UserError


def explain(
    response: Annotated[str, typer.Argument(help="The response; - reads it from standard input.")],
    reference: Annotated[str, typer.Argument(help="The reference answer.")],
    profile: Annotated[str, typer.Option(help="Policy by name, such as default, strict or math_verify.")] = "default",
) -> int:
    """Show what the math verifier extracts from a response, what it compares it with, and what decides."""
    from reward_servers.engines import math

    if profile not in math.PROFILES:
        raise UserError(f"--profile: there is no {profile!r}; there are {', '.join(math.PROFILES)}")
    text = sys.stdin.read() if response == "-" else response
    judgement = math.judge(text, reference, math.PROFILES[profile])
    print(math.explain(judgement, text))
    return 0 if judgement.correct else 1
