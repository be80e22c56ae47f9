"""Settings of the gateway: one TOML file, and what the command line adds.

on_missing = "error"            # or "null", or a number: what a rollout without a reward becomes
max_missing = 0.2               # share of the latest rollouts without a reward from which all is refused; 1 never

[server]
host = "127.0.0.1"
port = 8080

[server.tls]                    # needed on an address that others can reach
certificate = "server.pem"
key = "server.key"
client_ca = "clients.pem"       # ask clients for a certificate

[limits]
max_items = 65536               # rollouts under way
max_body_bytes = 67108864
body_timeout_s = 60.0           # for a body to arrive; the same for a head, and for a part of an answer to be read
max_batch_items = 16384         # rollouts in one request
max_held_bytes = 1073741824     # of bodies that have come and answers that are not taken yet, of all callers

[auth]
tokens = "tokens.toml"

[run_code]
slots = 2                       # sandboxes for /run_code; 0, the default, serves none

[openrlhf]
strip_end = ["</s>"]            # marks of the tokenizer that end a response
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from reward_servers.config import AuthConfig, Section, TlsConfig, read_settings
from trainer_client.adapters.fields import ENDS


class _Server(Section):
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    insecure: bool = False
    drain_timeout_s: float = Field(default=60.0, gt=0)
    max_connections: int = Field(default=1024, ge=1)
    tls: TlsConfig | None = None


class _Limits(Section):
    max_items: int = Field(default=1 << 16, ge=1)
    max_body_bytes: int = Field(default=64 << 20, ge=1 << 10)
    body_timeout_s: float = Field(default=60.0, gt=0)
    max_batch_items: int = Field(default=1 << 14, ge=1)
    max_held_bytes: int = Field(default=1 << 30, ge=1 << 10)


class _RunCode(Section):
    slots: int = Field(default=0, ge=0, le=256)
    max_run_s: float = Field(default=60.0, gt=0)
    max_memory_bytes: int = Field(default=1 << 30, ge=1 << 24)


class _OpenRlhf(Section):
    strip_end: tuple[str, ...] = ENDS


class GatewayConfig(Section):
    """All settings of a gateway; the sections are those of the file."""

    on_missing: Literal["error", "null"] | float = "error"
    max_missing: float = Field(default=0.2, ge=0, le=1)
    server: _Server = Field(default_factory=_Server)
    limits: _Limits = Field(default_factory=_Limits)
    auth: AuthConfig = Field(default_factory=AuthConfig)
    run_code: _RunCode = Field(default_factory=_RunCode)
    openrlhf: _OpenRlhf = Field(default_factory=_OpenRlhf)

    @field_validator("on_missing", mode="before")
    @classmethod
    def _stated(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in ("error", "null"):
            try:
                value = float(value)
            except ValueError:
                raise ValueError(f'{value!r} is none of "error", "null" and a number') from None
        if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f'{value!r} is none of "error", "null" and a finite number')
        return value


def load_gateway_config(
    path: Path | None = None, *, on_missing: str | None = None, slots: int | None = None, **overrides: Any
) -> GatewayConfig:
    """Read the settings.

    Args:
        path: A TOML file; None for the defaults.
        on_missing: Replaces the file's.
        slots: Replaces ``run_code.slots``.
        overrides: Keys of the ``server`` section that replace the file's; None leaves a key alone.

    Raises:
        SettingsError: The file cannot be read or a key is wrong; the message names both.
    """
    top: dict[str, Any] = {"server": overrides}
    if on_missing is not None:
        top["on_missing"] = on_missing
    if slots is not None:
        top["run_code"] = {"slots": slots}
    return read_settings(GatewayConfig, path, top)
