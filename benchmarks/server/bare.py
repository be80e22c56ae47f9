"""The floor: a bare ``grpc.aio`` server that parses items of equal bytes and answers a number for each.

Its messages are the smallest that carry the same content: an id and a text in, an id and a double out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import uvloop
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

METHOD = "/bench.Echo/Score"


def _messages() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="bench_echo.proto", package="bench", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for item, fields in (("Item", ("text", kinds.TYPE_STRING)), ("Result", ("score", kinds.TYPE_DOUBLE))):
        message = file.message_type.add(name=item)
        message.field.add(name="id", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
        message.field.add(name=fields[0], number=2, type=fields[1], label=kinds.LABEL_OPTIONAL)
    for batch, item in (("Request", "Item"), ("Response", "Result")):
        message = file.message_type.add(name=batch)
        message.field.add(
            name="items", number=1, type=kinds.TYPE_MESSAGE, type_name=f".bench.{item}", label=kinds.LABEL_REPEATED
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClassesForFiles(["bench_echo.proto"], pool)
    return made["bench.Request"], made["bench.Response"]


Request, Response = _messages()


async def _score(request: Any, _: Any) -> Any:
    response = Response()
    add = response.items.add
    for item in request.items:
        add(id=item.id, score=float(len(item.text)))
    return response


async def _serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    handler = grpc.unary_unary_rpc_method_handler(
        _score, request_deserializer=Request.FromString, response_serializer=Response.SerializeToString
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Score": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    uvloop.run(_serve())


if __name__ == "__main__":
    main()
