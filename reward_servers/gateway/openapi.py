"""The OpenAPI description of bodies that are read raw: each model once, under its name."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

_REF = "#/components/schemas/{model}"


class ErrorDetail(BaseModel):
    """What was refused, why and where."""

    code: str
    message: str
    field: str | None = None


class ErrorAnswer(BaseModel):
    """An answer with a status of 400 or more."""

    error: ErrorDetail


_REFUSALS = {
    400: "The body is not JSON.", 401: "A token is needed.", 403: "The token may not score.",
    408: "The body did not arrive in time.", 409: "The recipe needs whole groups.", 413: "Too large.",
    422: "The request has to be written otherwise; `field` says where.", 429: "Full; try again.",
    500: "A defect of the gateway.", 502: "The reward servers refuse the recipe.",
    503: "No server, or no reward under on_missing = \"error\".",
}  # fmt: skip


def described(model: type[BaseModel]) -> dict[str, Any]:
    """Keywords of a route whose body is a model but is read raw."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}},
        "responses": {status: {"model": ErrorAnswer, "description": text} for status, text in _REFUSALS.items()},
    }


def describe_bodies(app: FastAPI, models: list[type[BaseModel]]) -> None:
    """Put the models of raw bodies into an app's description."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=_REF)
            schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions.get("$defs", {}))
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
