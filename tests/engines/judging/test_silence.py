"""An endpoint that does not answer is named in the server's log while its questions wait, and not once for each."""

from __future__ import annotations

import logging
from random import Random

import pytest

from reward_servers.engines.judging import ChatClient, ChatUnavailableError, CompletionRequest


async def test_what_an_endpoint_fails_with_is_logged_once_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    client = ChatClient(["http://user:hush@127.0.0.1:9/v1?key=hush"], "m", "k", probed=False)
    client.open()
    asked = CompletionRequest([{"role": "user", "content": "q"}], seed=1)
    with caplog.at_level(logging.WARNING, "assay.judge"):
        for _ in range(2):
            with pytest.raises(ChatUnavailableError):
                await client.ask(asked, budget=1.5, jitter=Random(1))
    await client.close()
    (line,) = [one.getMessage() for one in caplog.records if one.name == "assay.judge"]
    assert line.startswith("http://127.0.0.1:9/v1 does not answer (")
    assert "hush" not in line
