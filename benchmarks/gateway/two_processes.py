"""The least that a second process costs: the server by hand, which sends each body as it is to one that judges it.

Nothing is read between the two: what the HTTP process does is its HTTP and one call of gRPC.

Usage: ``python -m benchmarks.gateway.two_processes exact|math``
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import grpc
import grpc.aio
import uvloop
from fastapi import FastAPI, Request, Response
from pydantic import TypeAdapter

from benchmarks.gateway.by_hand import Batch, Outcome, listen, outcomes

_OUTCOMES = TypeAdapter(list[Outcome])
_SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def _judge(body: bytes, _: Any) -> bytes:
    return _OUTCOMES.dump_json(await outcomes(Batch.model_validate_json(body)))


async def _serve() -> None:
    server = grpc.aio.server(options=_SIZES)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"Judge": grpc.unary_unary_rpc_method_handler(_judge)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Judge", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


def _app(address: str) -> FastAPI:
    app = FastAPI()
    calls: list[grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = []

    @app.post("/batch/items")
    async def batch(request: Request) -> Response:
        """Have a batch judged."""
        if not calls:  # on the loop that serves
            calls.append(grpc.aio.insecure_channel(address, options=_SIZES).unary_unary("/bench.Judge/Judge"))
        return Response(await calls[0](await request.body()), media_type="application/json")

    return app


def main() -> None:
    """Serve until killed."""
    if "--judge" in sys.argv:
        uvloop.run(_serve())
        return
    command = [sys.executable, "-m", "benchmarks.gateway.two_processes", *sys.argv[1:], "--judge"]
    judge = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert judge.stdout is not None
        listen(_app(judge.stdout.readline().split()[2]))
    finally:
        judge.terminate()
        judge.wait()


if __name__ == "__main__":
    main()
