"""A server announces itself, and renews before its lease ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from reward_servers.registry._address import OwnAddress
from trainer_client import TLS, read_token
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.tls_check import in_words_of, why_unanswered
from trainer_client.contract.v1 import registry_service_pb2 as registry_pb2
from trainer_client.contract.v1 import registry_service_pb2_grpc as registry_grpc

_log = logging.getLogger("assay.server")
_TIMEOUT = 5.0
"""Seconds for one announcement."""
_SHORTEST_PAUSE = 0.5
"""Seconds between announcements at least, whatever lease a registry grants."""
_PAIR = "[client.tls] certificate and key"
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    # A registry that comes back is told within a second or so; gRPC would wait for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class Announcer:
    """Keeps a server announced at registries.

    A registry that is gone, or whose name no one knows, costs the server nothing: it is asked again until it is back.

    Args:
        registries: Their addresses, ``host:port``.
        describe: The entry as it is now under an address, without its instance.
        own: The address that is announced.
        lease_s: Seconds asked for; a third of it passes between renewals.
        tls: Files for encrypted connections; None for plain text.
        token: Bearer token with the scope ``register``, or where it is read; empty for none.
    """

    def __init__(
        self,
        registries: Sequence[str],
        describe: Callable[[str], registry_pb2.ServerEntry],
        own: OwnAddress,
        *,
        lease_s: float = 15.0,
        tls: TLS | None = None,
        token: str = "",
    ) -> None:
        self._registries = tuple(dict.fromkeys(registries))
        self._describe = describe
        self._own = own
        self._lease_s = lease_s
        self._credentials = Credentials(tls)
        self._token = token
        self._instance = uuid.uuid4().hex
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._troubles: dict[str, str] = {}
        self._announced: dict[str, str] = {}
        """The address that each registry has last been told, by registry."""
        self._tasks: list[asyncio.Task[None]] = []
        self._news: list[asyncio.Event] = []

    def start(self) -> None:
        """Announce the server, from now on."""
        warning = self._own.warning()
        if warning:
            _log.warning("%s", warning)
        for address in self._registries:
            self._channels[address] = self._open(address)
            news = asyncio.Event()
            self._news.append(news)
            self._tasks.append(asyncio.create_task(self._keep(address, news)))

    def _open(self, address: str) -> grpc.aio.Channel:
        target, credentials = self._credentials.of(address)
        if credentials is None:
            return grpc.aio.insecure_channel(target, _OPTIONS)
        return grpc.aio.secure_channel(target, credentials, _OPTIONS)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = read_token(self._token)
        return (("authorization", f"Bearer {token}"),) if token else ()

    def announce_again(self) -> None:
        """What the server hosts has changed: tell it now and not at the next renewal."""
        for news in self._news:
            news.set()

    async def withdraw(self) -> None:
        """Take the server out of the lists, so that clients stop sending before it drains."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A registry that is gone, or cannot be told, forgets the server by itself when the lease ends.
        with contextlib.suppress(OSError):
            metadata = self._metadata()
            calls = [self._withdraw(registry, metadata) for registry in self._announced]
            await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))

    async def _withdraw(self, registry: str, metadata: tuple[tuple[str, str], ...]) -> None:
        stub: Any = registry_grpc.RegistryServiceStub(self._channels[registry])
        request = registry_pb2.WithdrawRequest(address=self._announced[registry], instance=self._instance)
        await stub.Withdraw(request, timeout=1.0, metadata=metadata)

    async def _keep(self, address: str, news: asyncio.Event) -> None:
        generation = self._credentials.look()
        while True:
            news.clear()
            pause = 1.0
            try:
                pause = await self._announce(address)
            except (grpc.aio.AioRpcError, OSError) as error:
                reason = await why_unanswered(error, address, self._credentials.tls)
                self._note_trouble(address, in_words_of(reason, ca="[client.tls] ca", pair=_PAIR))
                before, generation = generation, self._credentials.look()
                if generation != before:
                    await self._channels[address].close()
                    self._channels[address] = self._open(address)
            except Exception as error:  # noqa: BLE001 - see below
                # Whatever it is: a server that announces itself no more would be lost to its clients without a word.
                self._note_trouble(address, repr(error), failed=True)
            # Servers that were started together do not stay together.
            with contextlib.suppress(TimeoutError):
                longest = min(pause, self._lease_s / 3)
                await asyncio.wait_for(news.wait(), longest * random.uniform(0.8, 1.0))  # noqa: S311 (nothing secret)

    async def _announce(self, address: str) -> float:
        """Tell a registry of the server; seconds until it is to be told again."""
        own = await self._own.find()
        request = registry_pb2.AnnounceRequest(server=self._describe(own))
        request.server.instance = self._instance
        request.lease.FromMilliseconds(int(self._lease_s * 1000))
        stub: Any = registry_grpc.RegistryServiceStub(self._channels[address])
        self._announced[address] = own
        answer = await stub.Announce(request, timeout=_TIMEOUT, metadata=self._metadata())
        if self._troubles.pop(address, ""):
            _log.info("announced again at the registry %s", address)
        return max(_SHORTEST_PAUSE, float(answer.lease.seconds) / 3)

    def _note_trouble(self, address: str, reason: str, *, failed: bool = False) -> None:
        """Tell why a registry does not list the server, once for each reason."""
        if self._troubles.get(address) != reason:
            _log.warning("not announced at the registry %s, which is asked again: %s", address, reason, exc_info=failed)
        self._troubles[address] = reason
