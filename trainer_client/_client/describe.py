"""`describe_server`: what hosts which verifiers, asked of one address without a recipe."""

from __future__ import annotations

import asyncio
import concurrent.futures

import grpc.aio

from trainer_client._errors import RequestRejectedError, ServerUnavailableError
from trainer_client._settings import TLS, check_address
from trainer_client._transport.failures import NOT_A_SERVICE, UnusableReply, read_failure
from trainer_client._transport.replica import Replica
from trainer_client._transport.tls_check import find_mistake
from trainer_client.result.verifiers import ServerInfo


def describe_server(address: str, *, tls: TLS | None = None, timeout_s: float = 10.0) -> ServerInfo:
    """Ask a server what it hosts, once and without waiting for one that is away.

    May be called from anywhere, a running event loop included, which waits meanwhile.

    Args:
        address: ``host:port``, with ``grpcs://`` before it for an encrypted connection.
        tls: files for an encrypted connection.
        timeout_s: seconds to wait for its answer.

    Raises:
        RecipeError: that is no address.
        ServerUnavailableError: nothing answers there, with what is known of the reason.
        RequestRejectedError: what answers is no reward server, or asks for credentials.
        OSError: a file of certificates cannot be read.
    """
    check_address(address, "address")
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_describe(address, tls, timeout_s))).result()


async def _describe(address: str, tls: TLS | None, timeout_s: float) -> ServerInfo:
    replica = Replica(address, tls)
    try:
        async with asyncio.timeout(timeout_s):
            return await replica.describe()
    except TimeoutError:
        raise ServerUnavailableError(address, f"no answer within {timeout_s:g} s") from None
    except UnusableReply as error:
        raise RequestRejectedError(str(error), "not_a_reward_server", address, address) from None
    except grpc.aio.AioRpcError as error:
        failure = read_failure(error)
        if failure.code in NOT_A_SERVICE:
            reason = f"{NOT_A_SERVICE[failure.code]} ({failure})"
            raise RequestRejectedError(reason, failure.code, address, address) from None
        mistake = await find_mistake(address, tls)
        reason = mistake or f"no reward server answers ({failure}); start one with `assay serve`"
        raise ServerUnavailableError(address, reason) from None
    finally:
        await replica.close()
