"""`describe_server`: the verifiers of the server at one address, without a recipe."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Coroutine

import grpc.aio

from trainer_client._errors import RecipeError, RequestRejectedError, ServerUnavailableError
from trainer_client._settings import TLS, check_address, is_exposed, token_source
from trainer_client._transport.credentials import Credentials
from trainer_client._transport.failures import NOT_A_SERVICE, UnusableReplyError, read_failure
from trainer_client._transport.loop import PrivateLoop
from trainer_client._transport.replica import Replica
from trainer_client._transport.tls_check import find_mistake
from trainer_client.result.verifiers import ServerInfo


def describe_server(
    address: str,
    *,
    tls: TLS | None = None,
    token: str | None = None,
    with_activity: bool = False,
    timeout_s: float = 10.0,
) -> ServerInfo:
    """Ask a server what it hosts and how busy it is, once and without waiting for one that is away.

    May be called from anywhere, a running event loop included, which waits meanwhile.

    Args:
        address: ``host:port``, with ``grpcs://`` before it for an encrypted connection.
        tls: files for an encrypted connection.
        token: bearer token for a server that asks for one, or ``"file:PATH"``. Never sent unencrypted to another host.
        with_activity: also ask for the counts of its verifiers and for slow items.
        timeout_s: seconds to wait for its answer.

    Raises:
        RecipeError: that is no address or no token, or the token would be sent unencrypted to another host.
        ServerUnavailableError: nothing answers there, with what is known of the reason.
        RequestRejectedError: the address answers, but is no reward server, or asks for credentials.
        OSError: a file of certificates cannot be read.
    """
    check_address(address, "address")
    token = token_source(token)
    if token and is_exposed(address, tls):
        raise RecipeError("is not sent unencrypted to another host; give TLS(ca=...)", "token")
    replica = Replica(address, "", Credentials(tls), token)
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: _run(_describe(replica, tls, with_activity, timeout_s))).result()


def _run(asking: Coroutine[None, None, ServerInfo]) -> ServerInfo:
    with asyncio.Runner(loop_factory=PrivateLoop) as runner:
        return runner.run(asking)


async def _describe(replica: Replica, tls: TLS | None, with_activity: bool, timeout_s: float) -> ServerInfo:
    address = replica.address
    try:
        async with asyncio.timeout(timeout_s):
            return await replica.describe(with_activity=with_activity)
    except TimeoutError:
        raise ServerUnavailableError(address, f"no answer within {timeout_s:g} s") from None
    except UnusableReplyError as error:
        raise RequestRejectedError(str(error), "not_a_reward_server", address, address) from None
    except grpc.aio.AioRpcError as error:
        failure = read_failure(error)
        if failure.code in NOT_A_SERVICE:
            reason = f"{NOT_A_SERVICE[failure.code]} ({failure})"
            raise RequestRejectedError(reason, failure.code, address, address) from None
        mistake = await find_mistake(address, tls, grpc_message=failure.details)
        reason = mistake or f"no reward server answers ({failure}); {_remedy(failure.details)}"
        raise ServerUnavailableError(address, reason) from None
    finally:
        await replica.close()


def _remedy(details: str) -> str:
    """The remedy for a server that is not reached. A name that does not resolve is probably misspelt."""
    if "resolving" in details or "resolution" in details:
        return "the host's name is not known here; look for a slip of the pen, or give its IP address"
    return "start one with `assay serve`"
