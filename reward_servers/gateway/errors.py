"""What is refused, and how it is said: ``{"error": {"code", "message", "field"}}`` at the right status."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from reward_servers.gateway.json_codec import reply
from trainer_client import (
    ClientClosedError,
    IncompleteBatchError,
    RecipeError,
    RequestRejectedError,
    RewardError,
    RolloutError,
    ServerUnavailableError,
)
from trainer_client.adapters.missing import FaultRateError, MissingRewardError


class HttpError(Exception):
    """A request that is not answered.

    Attributes:
        status: The HTTP status.
        code: What is wrong, for programs.
        message: What is wrong and what to do, for people.
        field: Where in the request; empty when it concerns the whole.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, code: str, message: str, field: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers


def invalid(message: str, field: str = "") -> HttpError:
    """A request that has to be written otherwise."""
    return HttpError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", message, field)


def error_of(error: RewardError) -> HttpError:
    """What a caller is told of an error of the client."""
    match error:
        case RolloutError():
            return invalid(error.reason, error.field)
        case MissingRewardError():
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "no_reward", str(error))
        case FaultRateError():
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_faults", str(error))
        case IncompleteBatchError():
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "incomplete_batch", str(error))
        case ServerUnavailableError() | ClientClosedError():
            return HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "server_unavailable", str(error))
        case RequestRejectedError() | RecipeError():
            # The recipe is the operator's: no caller can mend it.
            return HttpError(HTTPStatus.BAD_GATEWAY, "recipe_refused", str(error))
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", type(error).__name__)


def answer_error(error: HttpError) -> Response:
    """The answer that says it."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.field:
        body["field"] = error.field
    return reply({"error": body}, error.status, error.headers)
