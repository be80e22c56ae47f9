"""`ClientOptions`: how the client of a recipe asks its servers; the table ``[client]`` of a recipe file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from trainer_client._errors import RecipeError
from trainer_client._settings import TLS, Batching, Retries, amount_mistake, check_token_file, token_within
from trainer_client.recipe.reader import Reader, flag_of, number_of, text_of, whole_of

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How servers are asked. Arguments of the client itself take precedence.

    Attributes:
        pin: whether a run keeps the version of each verifier that it began with.
        batching: how work is cut into calls.
        retries: patience, and what is sent again.
        tls: files for encrypted connections.
        token: where a bearer token is, ``"file:PATH"``.
    """

    pin: bool | None = None
    batching: Batching | None = None
    retries: Retries | None = None
    tls: TLS | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None:
            check_token_file(self.token, "client.token")

    def within(self, folder: str) -> ClientOptions:
        """The same with paths that are relative to a folder."""
        tls = None if self.tls is None else self.tls.within(folder)
        return ClientOptions(self.pin, self.batching, self.retries, tls, token_within(folder, self.token))


def read_client_options(outer: Reader, key: str, value: Any) -> ClientOptions | None:
    """Read the table ``[client]``."""
    table = outer.below(key, value)
    settings = {
        "pin": table.take("pin", None, flag_of),
        "batching": table.take("batching", None, _settings(Batching)),
        "retries": table.take("retries", None, _settings(Retries)),
        "tls": table.take("tls", None, read_tls),
        "token": table.take("token", None, text_of),
    }
    table.finish()
    return table.made(ClientOptions, **settings)


def _settings(kind: Callable[..., _T]) -> Callable[[Reader, str, Any], _T | None]:
    """Make a reader of a table whose keys are the fields of a class of settings."""

    def read(outer: Reader, key: str, value: Any) -> _T | None:
        table = outer.below(key, value)
        settings = {}
        for setting in fields(kind):  # type: ignore[arg-type]
            reads: Any = {int: whole_of, float: number_of}.get(type(setting.default), text_of)
            number = table.take(setting.name, None, reads)
            whole = isinstance(setting.default, int)
            if isinstance(number, int | float) and (mistake := amount_mistake(setting.name, number, whole=whole)):
                table.problems.append(RecipeError(mistake, table.at(setting.name)))
            if number is not None:
                settings[setting.name] = number
        table.finish()
        return table.made(kind, **settings)

    return read


read_tls = _settings(TLS)
"""Reads a table ``tls``."""
