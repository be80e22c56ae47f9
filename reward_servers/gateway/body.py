"""Reads bodies of requests: raw where routes are hot, as a model elsewhere."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from reward_servers.gateway.errors import HttpError, invalid
from reward_servers.gateway.json_codec import BodyError, read_body, read_json
from reward_servers.gateway.settings import GatewayConfig
from trainer_client import Rollout, RolloutError
from trainer_client.adapters.fields import content_id, reference_of

_M = TypeVar("_M", bound=BaseModel)
_CODES = {400: "not_json", 408: "too_slow", 413: "too_large"}


async def read(request: Request, config: GatewayConfig) -> Any:
    """The JSON value of a body.

    Raises:
        HttpError: It is too large, too slow, or no JSON.
        ClientDisconnect: The caller has gone.
    """
    try:
        return read_json(await read_body(request, config.limits.max_body_bytes, config.limits.body_timeout_s))
    except BodyError as error:
        raise HttpError(error.status, _CODES[error.status], str(error)) from None


async def read_object(request: Request, config: GatewayConfig) -> dict[str, Any]:
    """The object of a body.

    Raises:
        HttpError: see `read`; or it is no object.
    """
    value = await read(request, config)
    if not isinstance(value, dict):
        raise invalid(f"expected an object, found {type(value).__name__}")
    return value


async def read_as(model: type[_M], request: Request, config: GatewayConfig) -> _M:
    """The body as a model.

    Raises:
        HttpError: see `read`; or it does not fit.
    """
    value = await read(request, config)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise invalid(str(first["msg"]), ".".join(map(str, first["loc"]))) from None


def sample_of(prompt: Any, response: Any, label: Any, metadata: Any = None, *, field: str = "") -> Rollout:
    """A rollout of what a trainer posts of one sample, named by its content.

    Args:
        prompt: What was asked.
        response: What was answered.
        label: The data set's reference.
        metadata: What else is known of it.
        field: Where in the body it stands.

    Raises:
        HttpError: Something in it cannot be used.
    """
    try:
        return Rollout(
            content_id(prompt, response, label), prompt, response, reference=reference_of(label), metadata=metadata
        )
    except RolloutError as error:
        raise invalid(error.reason, f"{field}.{error.field}" if field else error.field) from None
