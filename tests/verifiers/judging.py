"""What the tests of the judge share: a judge that asks a scripted endpoint."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from reward_servers.core import Group, bind
from reward_servers.verifiers.judge import Judge
from tests.fakes.chat_server import FakeChatServer, Said, Script
from tests.typed import declared
from tests.verifiers.harness import Bench, bench, rollout


@asynccontextmanager
async def judging(
    fake: FakeChatServer, more_urls: Sequence[str] = (), userinfo: str = "", **settings: Any
) -> AsyncIterator[Bench]:
    """A judge that asks the fake, at an address with ``userinfo``, and those at further addresses."""
    with fake.running() as url:
        root = url.replace("//", f"//{userinfo}@") if userinfo else url
        hosted = bind(
            declared(Judge), {"base_url": [root, *more_urls], "model": "m", "total_timeout_s": 20, **settings}
        )
        async with bench(hosted) as running:
            yield running


def served(script: Script | Sequence[Said | str]) -> FakeChatServer:
    """The endpoint."""
    return FakeChatServer(script)


def shown(request: dict[str, Any]) -> str:
    """All that a request says."""
    return "\n".join(message["content"] for message in request["messages"])


def token_of(request: dict[str, Any]) -> str:
    """The token of the response's fence."""
    found = re.search(r"<<<(\w+) RESPONSE", shown(request))
    assert found is not None
    return found[1]


def alone(text: str) -> Group:
    """One response in a group of its own."""
    one = rollout(text)
    return Group(one.prompt_context, [one])
