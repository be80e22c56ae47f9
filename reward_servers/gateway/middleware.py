"""Checks who asks, and calls routes that read their bodies themselves without the framework's own steps."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from reward_servers.gateway.byte_budget import ByteBudget, Exchange
from reward_servers.gateway.errors import HttpError, answer_error
from reward_servers.rpc import Clients, NotAllowedError, bearer

Endpoint = Callable[[Request], Awaitable[Response]]

_OPEN = ("/health", "/ready")
"""Paths that a load balancer asks, which has no token."""
_HTTP = {
    404: ("not_found", "no such path; /docs lists them"),
    405: ("wrong_method", "this path takes another method"),
}


class AccessMiddleware:
    """Passes on callers whose token has the scope ``score`` and refuses the others.

    A route that takes nothing but the request and makes its own response is called at once: the framework's way there
    checks parameters and answers that such a route does not have, and costs as much as judging.
    """

    def __init__(self, app: ASGIApp, clients: Clients, direct: Mapping[str, Endpoint], budget: ByteBudget) -> None:
        """Stand before an app.

        Args:
            app: Answers what has no short way.
            clients: Tells callers apart.
            direct: Routes with a short way, by path: see `direct_routes`.
            budget: Bounds the memory of requests and answers.
        """
        self._app = app
        self._clients = clients
        self._direct = direct
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(self._budget, receive, send)
        try:
            await self._answer(scope, exchange.receive, exchange.send)
        finally:
            exchange.end()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        response: Response | None = None
        if path not in _OPEN:
            response = self._refusal(scope)
        if response is None:
            endpoint = self._direct.get(path) if scope["method"] == "POST" else None
            if endpoint is None:
                await self._app(scope, receive, send)
                return
            try:
                response = await endpoint(Request(scope, receive))
            except (HttpError, HTTPException, ClientDisconnect) as error:
                response = answer_to(error)
        await response(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        client = scope.get("client")
        try:
            self._clients.admit(_token(scope), "", client[0] if client else "unknown")
        except NotAllowedError as error:
            status = 401 if error.status.name == "UNAUTHENTICATED" else 403
            headers = {"www-authenticate": "Bearer"} if status == 401 else None
            return answer_error(HttpError(status, error.status.name.lower(), str(error), headers=headers))
        return None


def direct_routes(routes: Iterable[BaseRoute]) -> dict[str, Endpoint]:
    """Those of some routes that are posted to, take the request alone and make their own response, by path."""
    return {route.path: route.endpoint for route in routes if isinstance(route, APIRoute) and _is_direct(route)}


def _is_direct(route: APIRoute) -> bool:
    if route.methods != {"POST"} or route.dependencies:
        return False
    signature = inspect.signature(route.endpoint, eval_str=True)
    makes = signature.return_annotation
    return (
        [parameter.annotation for parameter in signature.parameters.values()] == [Request]
        and isinstance(makes, type)
        and issubclass(makes, Response)
    )


def answer_to(error: Exception) -> Response:
    """The answer to what a route raises instead of answering."""
    # A frame that raises what it holds makes a circle with it, and bodies are held by the frames above: they would stay
    # until the garbage collector comes by, which counts objects and not bytes.
    error.__traceback__ = error.__context__ = error.__cause__ = None
    if isinstance(error, HttpError):
        return answer_error(error)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=499)  # no one reads it
    status = error.status_code if isinstance(error, HTTPException) else 500
    code, message = _HTTP.get(status, ("invalid_request", str(getattr(error, "detail", ""))))
    return answer_error(HttpError(status, code, message, headers=getattr(error, "headers", None)))


def _token(scope: Scope) -> bytes | None:
    """The token of a call. Trainers whose clients set no header write it into the URL: http://any:TOKEN@host."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, credentials = value.decode("latin-1").partition(" ")
            if kind.lower() != "basic":
                return bearer(value.decode("latin-1"))
            try:
                return base64.b64decode(credentials, validate=True).partition(b":")[2]
            except ValueError:  # no base64, or no ASCII
                return b""
    return None
