"""Puts the routes together, behind the middleware that checks tokens."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from reward_servers.gateway import carr, hosted_tuning, inference_servers, native, nemo_gym, run_code, single_samples
from reward_servers.gateway.byte_budget import ByteBudget
from reward_servers.gateway.errors import HttpError, answer_error
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.middleware import AccessMiddleware, answer_to, direct_routes
from reward_servers.gateway.openapi import describe_bodies
from reward_servers.gateway.run_code import Slots
from reward_servers.gateway.scoring import Scoring, settled
from reward_servers.gateway.settings import GatewayConfig
from reward_servers.rpc import Clients
from trainer_client import AsyncRewardClient, RewardError, VerifierId, __version__

_ROUTES = (native, single_samples, carr, nemo_gym, inference_servers, hosted_tuning)


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
    routers = [module.routes(scoring) for module in _ROUTES]
    bodies = [body for module in _ROUTES for body in module.BODIES]
    if slots is not None:
        routers.append(run_code.routes(scoring, slots))
        bodies += run_code.BODIES
    for router in routers:
        app.include_router(router)
    _add_state(app, scoring)
    describe_bodies(app, bodies)
    for kind in (HttpError, HTTPException, 404, 405, ClientDisconnect):
        app.add_exception_handler(kind, _on_answer)
    app.add_exception_handler(Exception, _on_defect)
    direct = direct_routes(route for router in routers for route in router.routes)
    app.add_middleware(
        AccessMiddleware,
        clients=Clients(config.auth.tokens),
        direct=direct,
        budget=ByteBudget(config.limits.max_held_bytes),
    )
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
        infos = await settled(scoring.client.describe())
        own = scoring.client.recipe
        rewards = [
            {
                "name": r.name, "verifier": r.verifier, "answers": _identity_text(infos[r.name].id), "weight": r.weight,
                "tasks": r.tasks, "judges_groups": infos[r.name].judges_groups,
            }
            for r in own.rewards
        ]  # fmt: skip
        on_missing = scoring.config.on_missing
        return reply({"name": own.name, "digest": own.digest, "rewards": rewards, "on_missing": on_missing})


def _identity_text(verifier: VerifierId) -> str:
    return f"{verifier.name}@{verifier.version}#{verifier.digest}"


async def _on_answer(request: Request, error: Any) -> Response:
    return answer_to(error)


async def _on_defect(request: Request, error: Any) -> Response:
    # What it says may quote a reference: it is logged by the server, and not told.
    return answer_error(HttpError(500, "internal", f"a defect of the gateway ({type(error).__name__}); see its log"))
