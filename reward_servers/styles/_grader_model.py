"""The score_model grader: a number that a model replies."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from random import Random
from typing import Any

from reward_servers import Context, StartupError, UpstreamError
from reward_servers.engines import text
from reward_servers.engines.judging import Backend, ChatRejectedError, ChatUnavailableError, CompletionRequest
from reward_servers.styles._grader_spec import ScoreModel
from reward_servers.styles._grader_text import fill
from reward_servers.verifiers._judge_settings import JudgeSettings, open_models

_ASKS = 3
_BUDGET = 240.0
_PASSED_ON = {"temperature", "top_p", "seed", "max_tokens", "max_completion_tokens", "reasoning_effort"}


class ModelSettings(JudgeSettings):
    """Where the model is: one endpoint, or one model from local files, as for the verifier ``judge``."""


def open_model(settings: ModelSettings, grader: ScoreModel) -> Backend:
    """Open the model, asked with the sampling parameters of the grader.

    Raises:
        StartupError: It cannot be used here, or is not one model.
    """
    if settings.models:
        raise StartupError("model.models: a grader asks one model; give base_url and model, or path")
    unknown = sorted(set(grader.sampling_params) - _PASSED_ON)
    if unknown:
        raise StartupError(f"sampling_params.{unknown[0]} is not passed on; there are {', '.join(sorted(_PASSED_ON))}")
    parameters = {name: value for name, value in grader.sampling_params.items() if value is not None}
    parameters.pop("seed", None)  # each item has its own
    tokens = parameters.pop("max_completion_tokens", parameters.pop("max_tokens", settings.max_tokens))
    temperature = parameters.pop("temperature", settings.temperature)
    chosen = settings.model_copy(
        update={
            "parameters": {**settings.parameters, **parameters},
            "temperature": temperature,
            "max_tokens": tokens,
        }
    )
    return open_models(chosen)[""]


class ModelGrader:
    """Asks until the whole reply is a number of the range; what only quotes one is none."""

    def __init__(self, grader: ScoreModel, backend: Backend, marks: text.Marks) -> None:
        self._grader = grader
        self._backend = backend
        self._marks = marks
        low, high = grader.range
        self._told = (
            f'Reply with one JSON object and nothing else: {{"result": NUMBER}}, NUMBER from {low:g} to {high:g}.'
        )

    async def ask(self, item: Mapping[str, Any], sample: Mapping[str, Any], context: Context, jitter: Random) -> float:
        """The model's number.

        Raises:
            DatasetError: The item lacks what the messages need.
            MalformedOutputError: The response does.
            UpstreamError: The model is away, or gave no number.
        """
        messages = [
            {"role": template.role, "content": fill(template.text, item, sample)} for template in self._grader.input
        ]
        messages.append({"role": "user", "content": self._told})
        answer_text = ""
        for attempt in range(_ASKS):
            request = CompletionRequest(
                messages, seed=(context.seed + attempt) % (1 << 31), sample=attempt, schema=_SCHEMA
            )
            left = context.remaining()
            context.usage.upstream_calls += 1
            try:
                reply = await self._backend.ask(request, budget=_BUDGET if left is None else left, jitter=jitter)
            except ChatUnavailableError as error:
                raise UpstreamError(
                    str(error), code="judge_unavailable", retryable=True, retry_after=error.retry_after
                ) from None
            except ChatRejectedError as error:
                raise UpstreamError(str(error), code=f"judge_{error.reason}") from None
            context.usage.input_tokens += reply.input_tokens
            context.usage.output_tokens += reply.output_tokens
            context.usage.cost += reply.cost
            answer_text = text.visible(reply.text, self._marks).text.strip()
            number = _number(answer_text)
            if number is not None and self._grader.range[0] <= number <= self._grader.range[1]:
                return number
        raise UpstreamError(
            f"the model replied {_ASKS} times without a number of its range: {answer_text[:300]!r}",
            code="judge_malformed",
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._backend.close()


_SCHEMA = {
    "type": "object",
    "properties": {"result": {"type": "number"}},
    "required": ["result"],
    "additionalProperties": False,
}


def _number(text: str) -> float | None:
    """The number that a reply is, alone or as ``result`` of an object."""
    if text.startswith("```") and text.endswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    try:
        decoded = json.loads(text)
    except (ValueError, RecursionError):
        return None
    value = decoded.get("result") if isinstance(decoded, dict) else decoded
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None
