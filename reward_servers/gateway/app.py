"""Puts the routes together, behind one door that knows who asks."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from reward_servers.gateway import native, nemo_gym, run_code, scores, single
from reward_servers.gateway.docs import describe_bodies
from reward_servers.gateway.errors import HttpError, answer_error
from reward_servers.gateway.run_code import Slots
from reward_servers.gateway.scoring import Scoring, settled
from reward_servers.gateway.settings import GatewayConfig
from reward_servers.gateway.wire import reply
from reward_servers.rpc import Clients, NotAllowedError, bearer
from trainer_client import AsyncRewardClient, RewardError, VerifierId, __version__

_log = logging.getLogger("assay.gateway")
_OPEN = ("/health", "/ready")
"""Paths that a load balancer asks, which has no token."""


def create_app(client: AsyncRewardClient, config: GatewayConfig, slots: Slots | None = None) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        client: Asks the reward servers; stays the caller's to close.
        config: Settings.
        slots: Sandboxes for ``/run_code``, the caller's to close; None serves none.

    Raises:
        SettingsError: The file of tokens cannot be read.
    """
    scoring = Scoring(client, config)
    app = FastAPI(
        title=f"assay gateway: {client.recipe.name}",
        version=__version__,
        summary="Rewards over HTTP. A failure is never a score: it is an error, null, or a stated fallback.",
    )
    for rooms in (native, single, nemo_gym, scores):
        app.include_router(rooms.routes(scoring))
    if slots is not None:
        app.include_router(run_code.routes(scoring, slots))
    _add_state(app, scoring)
    describe_bodies(app, [*native.BODIES, *single.BODIES, *nemo_gym.BODIES, *scores.BODIES, *run_code.BODIES])
    app.add_exception_handler(HttpError, _on_error)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(404, _on_http)
    app.add_exception_handler(405, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_leave)
    app.add_exception_handler(Exception, _on_defect)
    app.add_middleware(_Door, clients=Clients(config.auth.tokens))
    return app


def _add_state(app: FastAPI, scoring: Scoring) -> None:
    @app.get("/health", tags=["state"])
    async def health() -> dict[str, str]:
        """Whether the gateway runs."""
        return {"status": "ok"}

    @app.get("/ready", tags=["state"])
    async def ready() -> Response:
        """Whether the reward servers answer."""
        try:
            await scoring.client.describe()
        except RewardError as error:
            return reply({"status": "unavailable", "reason": str(error)}, 503)
        return reply({"status": "ready", "under_way": scoring.under_way})

    @app.get("/v1/recipe", tags=["assay"])
    async def recipe() -> Response:
        """Rewards of the recipe, and the verifiers that give them."""
        known = await settled(scoring.client.describe())
        own = scoring.client.recipe
        rewards = [
            {
                "name": one.name, "verifier": one.verifier, "answers": _named(known[one.name].id), "weight": one.weight,
                "tasks": one.tasks, "judges_groups": known[one.name].judges_groups,
            }
            for one in own.rewards
        ]  # fmt: skip
        on_missing = scoring.config.on_missing
        return reply({"name": own.name, "digest": own.digest, "rewards": rewards, "on_missing": on_missing})


def _named(verifier: VerifierId) -> str:
    return f"{verifier.name}@{verifier.version}#{verifier.digest}"


async def _on_error(request: Request, error: Any) -> Response:
    return answer_error(error)


_HTTP = {
    404: ("not_found", "no such path; /docs lists them"),
    405: ("wrong_method", "this path takes another method"),
}


async def _on_http(request: Request, error: Any) -> Response:
    status = int(getattr(error, "status_code", 500))
    code, message = _HTTP.get(status, ("invalid_request", str(getattr(error, "detail", ""))))
    return answer_error(HttpError(status, code, message, headers=getattr(error, "headers", None)))


async def _on_leave(request: Request, error: Any) -> Response:
    return Response(status_code=499)  # no one reads it


async def _on_defect(request: Request, error: Any) -> Response:
    # What it says may quote a reference: it is logged by the server, and not told.
    return answer_error(HttpError(500, "internal", f"a defect of the gateway ({type(error).__name__}); see its log"))


class _Door:
    """Lets those in who may score, and tells the others."""

    def __init__(self, app: ASGIApp, clients: Clients) -> None:
        self._app = app
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] == "http" and scope["path"] not in _OPEN:
            client = scope.get("client")
            try:
                self._clients.admit(_token(scope), "", client[0] if client else "unknown")
            except NotAllowedError as error:
                status = 401 if error.status.name == "UNAUTHENTICATED" else 403
                headers = {"www-authenticate": "Bearer"} if status == 401 else None
                refused = HttpError(status, error.status.name.lower(), str(error), headers=headers)
                await answer_error(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _token(scope: Scope) -> bytes | None:
    """The token of a call. Trainers whose clients set no header write it into the URL: http://any:TOKEN@host."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, rest = value.decode("latin-1").partition(" ")
            if kind.lower() != "basic":
                return bearer(value.decode("latin-1"))
            try:
                return base64.b64decode(rest, validate=True).partition(b":")[2]
            except binascii.Error:
                return b""
    return None
