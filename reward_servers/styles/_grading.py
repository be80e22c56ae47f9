"""Graders of OpenAI's reinforcement fine-tuning, served from the JSON that describes them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from random import Random
from typing import Any, ClassVar

from pydantic import Field

from reward_servers import Context, Cost, ItemLimits, Rollout, Score, ServiceError, Settings, StartupError
from reward_servers.core import Verifier
from reward_servers.engines import text
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns, columns_of
from reward_servers.styles._grader_model import ModelGrader, ModelSettings, open_model
from reward_servers.styles._grader_program import BoundExceededError, ProgramGrader
from reward_servers.styles._grader_spec import Multi, PythonGrader, ScoreModel, Spec, StringCheck, read_spec
from reward_servers.styles._grader_text import Formula, MalformedOutputError, fill, similarity
from reward_servers.styles._making import clipped, make_verifier, number_of
from reward_servers.verifiers.code import CodeSettings

_LIMITS = ItemLimits(cpu_s=600.0, wall_s=3600.0, memory_bytes=0)
"""The sandbox and the endpoint bound an item; this is a backstop."""


class GraderSettings(Settings):
    """What the operator gives: where the model of ``score_model`` is, and what bounds the programs of ``python``."""

    model: ModelSettings | None = None
    sandbox: CodeSettings = Field(default_factory=lambda: CodeSettings.model_validate({}))


def openai_grader(address: str) -> Verifier:
    """A file with a grader: string_check, text_similarity, score_model, python, or multi of them.

    Raises:
        VerifierNotFoundError: There is no such file.
        VerifierDefinitionError: It holds no grader that can be served.
    """
    parsed = Address.read(address)
    try:
        spec, version = parsed.guarded(lambda: read_spec(parsed.target), "cannot be served")
    except LookupError as error:
        if isinstance(error.__cause__, ValueError):
            raise parsed.refused(str(error.__cause__)) from None
        raise
    asks = any(isinstance(part, ScoreModel) for part in spec.parts.values())
    runs = any(isinstance(part, PythonGrader) for part in spec.parts.values())
    limits = parsed.range(spec.grader.range if isinstance(spec.grader, ScoreModel) else (0.0, 1.0))
    base: type[_Grader] = _Asking if asks else _Computing
    served = type("Grader", (base,), {"spec": spec, "limits": limits, "address": address, "__module__": __name__})
    return make_verifier(
        parsed.at(version),
        served,
        limits=limits,
        loop=asks,
        deterministic=not asks,
        libraries=("rapidfuzz", "sacrebleu"),
        cost=Cost.NETWORK if asks else Cost.SANDBOX if runs else Cost.CPU,
        settings=GraderSettings,
        item_limits=_LIMITS,
        context=asks,
    )


class _Grader:
    """What all kinds share."""

    spec: ClassVar[Spec]
    limits: ClassVar[tuple[float, float]]
    address: ClassVar[str]

    def setup(self, settings: GraderSettings) -> None:
        """Open what the graders need, and prove that it works here.

        Raises:
            StartupError: Something is missing.
        """
        parts = self.spec.parts
        self._formula = None
        if isinstance(self.spec.grader, Multi):
            self._formula = Formula(self.spec.grader.calculate_output, list(parts))
        self._turn = threading.Lock()
        self._programs = {
            name: ProgramGrader(part.source, settings.sandbox)
            for name, part in parts.items()
            if isinstance(part, PythonGrader)
        }
        self._models = {}
        for name, part in parts.items():
            if isinstance(part, ScoreModel):
                if settings.model is None:
                    raise StartupError(
                        f"{self.address} asks a model; say which in the settings file: "
                        f'[verifiers."{self.address}".model] with base_url and model'
                    )
                self._models[name] = ModelGrader(part, open_model(settings.model, part), settings.model.reasoning_marks)

    def facts(self) -> dict[str, str]:
        """What is served."""
        return {"grader": self.spec.grader.type}

    def _part(self, name: str, item: dict[str, Any], sample: dict[str, Any], rollout: Rollout) -> float:
        """What a grader that asks no model says."""
        part = self.spec.parts[name]
        if isinstance(part, PythonGrader):
            with self._turn:
                returned = self._programs[name].grade(sample, item)
            return number_of(returned, self._owner(name), self.limits)
        assert not isinstance(part, ScoreModel)
        filled, right = fill(part.input, item, sample), fill(part.reference, item, sample)
        if isinstance(part, StringCheck):
            return float(_compared(part.operation, filled, right))
        return similarity(part.evaluation_metric, filled, right)

    def _owner(self, name: str) -> str:
        return f"{self.address}: {name}" if name else self.address

    def _total(self, scores: dict[str, float]) -> Score:
        if self._formula is None:
            return Score(number_of(scores[""], self.address, self.limits))
        try:
            value = self._formula.value(scores)
        except ArithmeticError as error:
            raise ServiceError(
                f"{self.address}: {self._formula.text} has no value for {clipped(scores)}: {error}",
                code="invalid_score",
            ) from None
        return Score(number_of(value, self.address, self.limits), aspects=scores)


class _Computing(_Grader):
    """Graders that ask no model; runs in worker processes."""

    def score(self, rollout: Rollout, reference: Columns) -> Score:
        """Judge one rollout."""
        item, sample = columns_of(rollout), _sample(rollout)
        try:
            return self._total({name: self._part(name, item, sample, rollout) for name in self.spec.parts})
        except MalformedOutputError as error:
            return Score.floor("malformed", f"the response has no {error}")
        except BoundExceededError as error:
            return Score.floor("limit", f"the grader ended by {error} over this response")

    def close(self) -> None:
        """Close the sandboxes."""
        for program in self._programs.values():
            program.close()


class _Asking(_Grader):
    """Graders some of which ask a model; runs on the server's event loop."""

    async def score(self, rollout: Rollout, reference: Columns, context: Context) -> Score:
        """Judge one rollout."""
        item, sample = columns_of(rollout), _sample(rollout)
        scores: dict[str, float] = {}
        try:
            for name, part in self.spec.parts.items():
                if isinstance(part, ScoreModel):
                    scores[name] = await self._models[name].ask(item, sample, context, Random(context.seed))  # noqa: S311
                else:
                    scores[name] = await asyncio.to_thread(self._part, name, item, sample, rollout)
            return self._total(scores)
        except MalformedOutputError as error:
            return Score.floor("malformed", f"the response has no {error}")
        except BoundExceededError as error:
            return Score.floor("limit", f"the grader ended by {error} over this response")

    async def close(self) -> None:
        """Close connections and sandboxes."""
        for program in self._programs.values():
            program.close()
        for model in self._models.values():
            await model.close()


def _compared(operation: str, text: str, right: str) -> bool:
    if operation in ("eq", "ne"):
        return (text == right) == (operation == "eq")
    return right in text if operation == "like" else right.casefold() in text.casefold()


def _sample(rollout: Rollout) -> dict[str, Any]:
    """What a grader sees of a response: the visible text, and what it is as JSON."""
    visible = text.visible(rollout.response, rollout.reasoning_marks).text
    if visible != rollout.response:
        visible = visible.strip()
    sample: dict[str, Any] = {"output_text": visible}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for message in rollout.messages
        for call in message.tool_calls
    ]
    message: dict[str, Any] = {"role": "assistant", "content": visible}
    if calls:
        sample["output_tools"] = message["tool_calls"] = calls
    sample["choices"] = [{"message": message}]
    with contextlib.suppress(ValueError, RecursionError):
        # What reads it of a response that is no JSON finds it missing.
        sample["output_json"] = json.loads(visible)
    return sample
