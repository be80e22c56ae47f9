"""Where servers are, as a registry knows them: ``registry://HOST:PORT`` among the endpoints of a server."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from trainer_client._errors import RecipeError
from trainer_client._settings import is_exposed, is_host_port, read_token
from trainer_client._transport.credentials import Credentials
from trainer_client.contract.v1 import registry_service_pb2 as registry
from trainer_client.contract.v1 import registry_service_pb2_grpc as registry_grpc
from trainer_client.contract.v1.types_pb2 import VerifierIdentity

_TIMEOUT = 3.0
_LARGEST_REPLY = 64 << 20
_COMPARISONS: dict[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_VERSION = re.compile(r"[0-9]{1,99}(?:\.[0-9]{1,99})*")
"""Versions that can be compared. Python reads no number of any length, nor each of Unicode's digits."""
_BOUND = re.compile(rf"(==|!=|>=|<=|>|<)\s*({_VERSION.pattern})")
_DIGEST = re.compile(r"sha256:([0-9a-f]{6,64})")


class Selector:
    """Which servers of a registry are meant: ``NAME``, ``NAME@1.2``, ``NAME@>=1.2,<2`` or ``NAME@sha256:DIGEST``.

    ``NAME`` is what a server announces itself as, or a verifier that it hosts; with a version or a digest, a verifier.

    Args:
        text: the selector.

    Raises:
        RecipeError: what follows the ``@`` is neither a version nor a digest.
    """

    def __init__(self, text: str) -> None:
        self.name, _, constraint = text.partition("@")
        self._digest = ""
        self._bounds: list[tuple[str, tuple[int, ...]]] = []
        digest = _DIGEST.fullmatch(constraint)
        if digest:
            self._digest = digest[1]
        elif constraint:
            parts = [part.strip() for part in constraint.split(",")]
            bounds = [_BOUND.fullmatch(part if part[:1] in "=!<>" else f"=={part}") for part in parts]
            if not all(bounds):
                raise RecipeError(
                    f'{text!r}: {constraint!r} is neither a version such as "1.2", bounds such as ">=1.2,<2", nor '
                    '"sha256:" and a digest'
                )
            self._bounds = [(bound[1], _number(bound[2])) for bound in bounds if bound]

    def fits(self, server: registry.ServerEntry) -> bool:
        """Whether a server is meant."""
        plain = not self._digest and not self._bounds
        if plain and server.name == self.name:
            return True
        return any(verifier.name == self.name and self._fits(verifier) for verifier in server.verifiers)

    def _fits(self, verifier: VerifierIdentity) -> bool:
        if self._digest:
            return verifier.digest.removeprefix("sha256:").startswith(self._digest)
        if not self._bounds:
            return True
        if not _VERSION.fullmatch(verifier.version):
            # Whoever announces chooses this text. What cannot be compared is within no bounds.
            return False
        version = _number(verifier.version)
        return all(_COMPARISONS[sign](*_padded(version, bound)) for sign, bound in self._bounds)


class RegistryView:
    """The servers that one registry lists for a selector. While it is gone, the last list counts.

    Args:
        address: ``HOST:PORT`` or ``HOST:PORT/SELECTOR``.
        server: name of the server in the recipe, which is the selector where the address has none.
        credentials: for encrypted connections.
        token: bearer token, or where it is read.

    Attributes:
        trouble: why there is no server, if there is none, or that the registry does not answer.
    """

    def __init__(self, address: str, server: str, credentials: Credentials, token: str) -> None:
        self._target, _, selector = address.partition("/")
        self._selector = Selector(selector or server)
        self._credentials = credentials
        self._token = token
        self._revision = ""
        self._found: list[str] = []
        self._lack = ""
        """What the last answer says of why there is no server. It stays as long as the answer: see `ListServers`."""
        self.trouble = ""

    async def look(self) -> Sequence[str]:
        """Addresses of the servers as they are now."""
        if self._token and is_exposed(self._target, self._credentials.tls):
            self.trouble = f"a token is not sent unencrypted to the registry {self._target}; give TLS(ca=...)"
            return self._found
        self._credentials.look()
        options = [("grpc.max_receive_message_length", _LARGEST_REPLY), ("grpc.use_local_subchannel_pool", 1)]
        request = registry.ListServersRequest(known_revision=self._revision)
        try:
            target, credentials = self._credentials.of(self._target)
            token = read_token(self._token)
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            # A channel for each look: looks are rare, and one that stays would have to be closed before every fork.
            channel = (
                grpc.aio.secure_channel(target, credentials, options)
                if credentials is not None
                else grpc.aio.insecure_channel(target, options)
            )
            async with channel:
                stub: Any = registry_grpc.RegistryServiceStub(channel)
                answer = await stub.ListServers(request, timeout=_TIMEOUT, metadata=metadata)
        except (grpc.aio.AioRpcError, OSError, RecipeError) as error:
            from trainer_client._transport.tls_check import why_unanswered

            # Where servers are known already, encryption is no news.
            failure = await why_unanswered(error, self._target, self._credentials.tls, look=not self._found)
            self.trouble = f"the registry {self._target} does not answer ({failure})"
            return self._found
        if answer.revision != self._revision or not self._revision:
            self._revision = answer.revision
            fitting = [server for server in answer.servers if self._selector.fits(server)]
            # Who may announce may not choose how a client connects.
            self._found = [server.address for server in fitting if is_host_port(server.address)]
            self._lack = "" if self._found else self._nothing(answer.servers)
        self.trouble = self._lack
        return self._found

    def _nothing(self, servers: Sequence[registry.ServerEntry]) -> str:
        if any(map(self._selector.fits, servers)):
            return f"the registry {self._target} lists addresses that are no host:port for {self._selector.name!r}"
        available = sorted(
            {f"{verifier.name}@{verifier.version}" for server in servers for verifier in server.verifiers}
        )
        listed = ", ".join(available[:10]) or "no server at all"
        return f"the registry {self._target} lists no server {self._selector.name!r} that fits; it lists {listed}"


def _number(text: str) -> tuple[int, ...]:
    """A version as numbers: ``1.10`` is later than ``1.9``."""
    return tuple(int(part) for part in text.split("."))


def _padded(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    length = max(len(first), len(second))
    return first + (0,) * (length - len(first)), second + (0,) * (length - len(second))
