"""Settings of the judge: its models, their addresses, and limits on their cost."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from reward_servers import Settings, StartupError
from reward_servers.engines.judging import (
    Backend,
    ChatClient,
    EmbeddedModel,
    Prices,
    Rate,
    Recording,
    RecordingError,
    SharedBackend,
    Spend,
    Template,
    TemplateError,
)
from reward_servers.engines.models import ModelUnusableError

Url = Annotated[str, StringConstraints(pattern=r"^https?://")]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Mark = Annotated[str, StringConstraints(pattern=r"\S", max_length=100)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class SpendSettings(Settings):
    """What this server may spend on a model since its start; 0 for no bound."""

    max_requests: int = Field(0, ge=0)
    max_tokens: int = Field(0, ge=0, description="Tokens read and written.")
    max_cost: float = Field(0.0, ge=0, allow_inf_nan=False)
    input_price: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a million tokens read.")
    output_price: float = Field(0.0, ge=0, allow_inf_nan=False, description="Price of a million tokens written.")

    def spend(self) -> Spend:
        """The account."""
        prices = Prices(self.input_price, self.output_price)
        return Spend(self.max_requests, self.max_tokens, self.max_cost, prices)


class ModelSettings(Settings):
    """One model: at an endpoint, or in this process from local files.

    Settings that change no score (an address, a key, a limit) are not part of the digest.
    """

    base_url: Url | tuple[Url, ...] | dict[Url, Weight] = Field(
        (),
        exclude=True,
        description="Root of the protocol, such as http://127.0.0.1:8000/v1; or several that serve the same model, "
        "each with its weight if they are to share the requests in proportion.",
    )
    model: str = Field("", description="Name of the model at the endpoint.")
    api_key_env: str = Field(
        "", exclude=True, description="Name of the environment variable that holds the key; empty for no key."
    )
    concurrency: int = Field(
        64, ge=1, le=4096, exclude=True, description="Requests in flight at most, at each address."
    )
    timeout_s: float = Field(60.0, gt=0, exclude=True, description="Seconds for one request.")
    temperature: float = Field(0.0, ge=0)
    max_tokens: int = Field(2048, ge=16)
    send_seed: bool = Field(True, description="Whether each request carries a seed that follows from the item's.")
    structured: bool = Field(
        False, description="Whether replies that are JSON objects are held to a schema by the endpoint."
    )
    probe: bool = Field(
        True, exclude=True, description="Whether each endpoint is asked at start what it can do, in one short request."
    )
    parameters: dict[str, Any] = Field(default_factory=dict, description="Further parameters of every request.")
    spend: SpendSettings = Field(default_factory=lambda: SpendSettings.model_validate({}), exclude=True)
    max_requests_per_minute: int = Field(0, ge=0, exclude=True, description="At most; 0 for no bound.")
    max_tokens_per_minute: int = Field(0, ge=0, exclude=True, description="Read and written, at most; 0 for no bound.")
    images: bool = Field(False, description="Whether the model sees pictures.")
    weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="How often it is drawn, among several models.")
    reasoning_marks: tuple[tuple[Mark, Mark], ...] = Field(
        (),
        max_length=16,
        description="Pairs of marks between which the model's own replies are reasoning, beside those that are known.",
    )
    path: Path | None = Field(
        None, description="Directory or GGUF file of a causal language model, in place of an endpoint."
    )
    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    threads: int = Field(0, ge=0, exclude=True, description="Threads on the CPU; 0 leaves the choice to torch.")
    max_length: int = Field(8192, ge=64, description="Tokens of a conversation, for a model from local files.")

    @property
    def configured(self) -> str:
        """The settings on which completions depend."""
        if self.path is not None:
            return json.dumps([self.path.name, self.dtype, self.max_length, self.max_tokens])
        shaping = [self.model, self.asked_with, *(["structured"] if self.structured else [])]
        return json.dumps(shaping, sort_keys=True)

    @property
    def asked_with(self) -> dict[str, Any]:
        """Parameters of every request."""
        return {"temperature": self.temperature, "max_tokens": self.max_tokens, **self.parameters}

    @property
    def urls(self) -> tuple[str, ...]:
        """The addresses."""
        return (self.base_url,) if isinstance(self.base_url, str) else tuple(self.base_url)

    @property
    def weights(self) -> tuple[float, ...]:
        """Their weights; none where they share the requests by their room."""
        return tuple(self.base_url.values()) if isinstance(self.base_url, dict) else ()

    @model_validator(mode="after")
    def _check_source(self) -> ModelSettings:
        if self.urls and self.path is not None:
            raise ValueError("base_url and path exclude each other; give an endpoint or local files")
        if self.weights and not any(self.weights):
            raise ValueError("base_url: no weight is positive; 0 is for an address that stands in for the others")
        for place, (opening, closing) in enumerate(self.reasoning_marks):
            if opening == closing:
                raise ValueError(f"reasoning_marks[{place}]: what opens and what closes are two different texts")
        if bool(self.urls) != bool(self.model):
            raise ValueError("base_url and model go together; give the endpoint and the name of its model")
        if self.path is not None and self.images:
            raise ValueError("a model from local files reads no pictures; remove images, or give an endpoint")
        if self.path is not None and (self.temperature or self.parameters or self.structured):
            raise ValueError(
                "a model from local files takes the likeliest verdict; remove temperature, parameters and structured"
            )
        return self


class RecordingSettings(Settings):
    """A file of what the models replied."""

    path: Path
    mode: Literal["record", "replay", "cache"] = Field(
        description="record: ask, and write what is replied. replay: never ask. cache: ask for what the file lacks."
    )


class TemplateSettings(Settings):
    """A file with words around the material of a question."""

    path: Path = Field(exclude=True)
    text: str = Field("", description="What the file holds; given in its place, no file is read.")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "path" not in value or value.get("text"):
            return value
        try:
            return {**value, "text": Path(value["path"]).read_text("utf-8")}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{value['path']} cannot be read: {error}; give a file in UTF-8") from None

    @model_validator(mode="after")
    def _check(self) -> TemplateSettings:
        try:
            Template(self.text)
        except TemplateError as error:
            raise ValueError(f"{self.path}: {error}") from None
        return self


class JudgeSettings(ModelSettings):
    """The model or models, and how long an item may take."""

    total_timeout_s: float = Field(
        240.0, gt=0, exclude=True, description="Seconds for an item, re-asks and retries included."
    )
    models: dict[Name, ModelSettings] = Field(
        default_factory=dict,
        max_length=64,
        description="Several models by name. Each item draws one by its seed, unless its options name one.",
    )

    recording: RecordingSettings | None = Field(None, exclude=True)
    templates: dict[Name, TemplateSettings] = Field(
        default_factory=dict, max_length=64, description="Words around the material of a question, by name."
    )

    @model_validator(mode="after")
    def _check_models(self) -> JudgeSettings:
        own = bool(self.urls) or self.path is not None
        if own == bool(self.models):
            raise ValueError(
                "give one judge: base_url and model of an endpoint, path of local files, or several under [models.NAME]"
            )
        for name, model in self.models.items():
            if not model.urls and model.path is None:
                raise ValueError(f"models.{name}: give base_url and model of an endpoint, or path of local files")
        if self.models and not any(model.weight for model in self.models.values()):
            raise ValueError("models: no weight is positive")
        return self

    def all_models(self) -> Mapping[str, ModelSettings]:
        """The models by name; the name of a single one is empty."""
        return self.models or {"": self}


def open_models(settings: JudgeSettings) -> dict[str, Backend]:
    """Open connection pools and load models.

    Raises:
        StartupError: A model cannot be used here; says why and what to do.
    """
    opened: dict[str, Backend] = {}
    log = settings.recording
    try:
        recording = None if log is None else Recording(log.path, log.mode)
    except RecordingError as error:
        raise StartupError(f"judge: recording: {error}") from None
    for name, model in settings.all_models().items():
        where = f"judge: models.{name}: " if name else "judge: "
        try:
            backend: Backend | None = None
            if log is None or log.mode != "replay":
                backend = _embedded(model) if model.path is not None else _endpoint(model, where)
            opened[name] = SharedBackend(model.configured, backend, recording)
        except ImportError as error:
            extra = "model" if model.path is not None else "judge"
            extra = "gguf" if "gguf" in str(error) else extra
            raise StartupError(f"{where}{error}; install it with: pip install 'assay[{extra}]'") from None
        except ModelUnusableError as error:
            raise StartupError(f"{where}{error}") from None
    return opened


def _embedded(settings: ModelSettings) -> EmbeddedModel:
    assert settings.path is not None
    return EmbeddedModel(
        settings.path,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads,
        max_length=settings.max_length,
        max_tokens=settings.max_tokens,
    )


def _endpoint(settings: ModelSettings, where: str) -> ChatClient:
    key = os.environ.get(settings.api_key_env, "") if settings.api_key_env else "none"
    if not key:
        raise StartupError(f"{where}api_key_env names {settings.api_key_env}, which is not set in the environment")
    client = ChatClient(
        settings.urls,
        settings.model,
        key,
        settings.concurrency,
        settings.timeout_s,
        settings.asked_with,
        settings.spend.spend(),
        Rate(settings.max_requests_per_minute, settings.max_tokens_per_minute),
        settings.probe,
        settings.structured,
        settings.weights,
    )
    client.open()
    return client
