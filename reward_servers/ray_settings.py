"""What servers in a Ray cluster are told, checked before anything starts. Needs no Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reward_servers.core import SettingsError
from reward_servers.core._schemas import explain
from trainer_client._errors import RecipeError
from trainer_client._settings import check_address

_OURS = ("name", "namespace", "lifetime")


def _name(name: str) -> str:
    try:
        check_address(f"ray:{name}", "")
    except RecipeError:
        name = ""
    if not name:
        raise ValueError('must have letters, digits, ".", "_" and "-" only, and one at least, such as "math-v2"')
    return name


def _list(value: object) -> object:
    """Any sequence but a text, which Python would take for a list of its characters."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        example = value.split() if isinstance(value, str) else []
        raise ValueError("must be a list of texts" + (f", such as {example}" if example else ""))
    return list(value)


def _option(value: object) -> object:
    """A part of a command line; YAML reads a port as a number."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value)
    raise ValueError(f"must be a text, not {value!r}; put it in quotes")


def _resources(told: dict[str, Any]) -> dict[str, Any]:
    for key in _OURS:
        if key in told:
            raise ValueError(f"{key} is decided by the other arguments; remove it")
    return told


_Count = Annotated[int, Field(ge=1)]
_Text = Annotated[str, Field(min_length=1)]


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, AfterValidator(_name)]
    verifiers: Annotated[list[_Text], BeforeValidator(_list), Field(min_length=1)]
    workers: _Count = 1
    options: Annotated[list[Annotated[str, BeforeValidator(_option)]], BeforeValidator(_list)] = []


class ServersArguments(_Told):
    """Arguments of `reward_servers.ray.Servers`."""

    replicas: _Count = 1
    detached: bool = False
    resources: Annotated[dict[str, Any], AfterValidator(_resources)] = {}


class ApplicationArguments(_Told):
    """Arguments of `reward_servers.ray.application`; Ray knows what ``autoscaling`` may hold."""

    autoscaling: dict[str, Any] = {}


class _Named(BaseModel):
    name: Annotated[str, AfterValidator(_name)]


_T = TypeVar("_T", bound=BaseModel)


def servers_arguments(**told: Any) -> ServersArguments:
    """The arguments of servers in actors.

    Raises:
        SettingsError: One cannot be; the message names it.
    """
    return _read(ServersArguments, told, "Servers")


def application_arguments(told: Mapping[str, Any]) -> ApplicationArguments:
    """The arguments of an application of Serve: ``args`` of its configuration.

    Raises:
        SettingsError: One cannot be, is missing or is not known; the message names it.
    """
    return _read(ApplicationArguments, told, "args")


def check_name(name: str) -> None:
    """Refuse what no servers can be called.

    Raises:
        SettingsError: Clients could not ask for it.
    """
    _read(_Named, {"name": name}, "")


def _read(kind: type[_T], told: Mapping[str, Any], root: str) -> _T:
    try:
        return kind.model_validate(dict(told) if isinstance(told, Mapping) else told)
    except ValidationError as error:
        raise SettingsError(explain(error, root, kind)) from None
