"""Puts the routes together, behind the middleware that checks tokens."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from reward_servers.gateway import carr, hosted_tuning, inference_servers, native, nemo_gym, run_code, single_samples
from reward_servers.gateway.asked_servers import AskedServers
from reward_servers.gateway.byte_budget import ByteBudget
from reward_servers.gateway.errors import HttpError, answer_error
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.middleware import AccessMiddleware, answer_to, direct_routes
from reward_servers.gateway.openapi import describe_bodies
from reward_servers.gateway.run_code import Slots
from reward_servers.gateway.scoring import Scoring
from reward_servers.gateway.settings import GatewayConfig
from reward_servers.rpc import Clients
from trainer_client import AsyncRewardClient, RewardError, VerifierInfo, __version__

_PATIENCE = 2.0
"""Seconds that a question whether all is ready waits for the servers: who asks waits little longer itself."""
_LONG_PATIENCE = 10.0
"""The same for a question by people."""
_ROUTES = (native, single_samples, carr, nemo_gym, inference_servers, hosted_tuning)


def create_app(
    client: AsyncRewardClient, config: GatewayConfig, slots: Slots | None = None, servers: AskedServers | None = None
) -> FastAPI:
    """The gateway as an ASGI application.

    Args:
        client: Asks the reward servers; stays the caller's to close.
        config: Settings.
        slots: Sandboxes for ``/run_code``, the caller's to close; None serves none.
        servers: What is known of the servers of the client's recipe.

    Raises:
        SettingsError: The file of tokens cannot be read.
    """
    scoring = Scoring(client, config, servers or AskedServers(client))
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
        """Whether all reward servers can be asked; if not, which of them cannot, and why."""
        troubles = await scoring.servers.troubles(within=_PATIENCE)
        if troubles:
            reason = "; ".join(f"server {name!r}: {trouble}" for name, trouble in troubles.items())
            return reply({"status": "unavailable", "reason": reason, "servers": troubles}, 503)
        return reply({"status": "ready", "under_way": scoring.under_way})

    @app.get("/v1/recipe", tags=["assay"])
    async def recipe() -> Response:
        """Rewards of the recipe, and the verifiers that give them."""
        infos, troubles = await scoring.servers.describe(within=_LONG_PATIENCE)
        own = scoring.client.recipe
        rewards = [
            {
                "name": r.name, "verifier": r.verifier, "weight": r.weight, "tasks": r.tasks,
                **_answering(infos.get(r.name), troubles.get(r.name)),
            }
            for r in own.rewards
        ]  # fmt: skip
        on_missing = scoring.config.on_missing
        return reply({"name": own.name, "digest": own.digest, "rewards": rewards, "on_missing": on_missing})


def _answering(info: VerifierInfo | None, trouble: RewardError | None) -> dict[str, Any]:
    """The verifier that gives a reward, or why none does."""
    if info is None:
        return {"answers": None, "judges_groups": None, "unavailable": str(trouble)}
    name = f"{info.id.name}@{info.id.version}#{info.id.digest}"
    return {"answers": name, "judges_groups": info.judges_groups}


async def _on_answer(request: Request, error: Any) -> Response:
    return answer_to(error)


async def _on_defect(request: Request, error: Any) -> Response:
    # What it says may quote a reference: it is logged by the server, and not told.
    return answer_error(HttpError(500, "internal", f"a defect of the gateway ({type(error).__name__}); see its log"))
