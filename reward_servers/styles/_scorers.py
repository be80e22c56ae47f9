"""Scorers of inspect_ai: ``async def score(state: TaskState, target: Target) -> Score``."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any

from reward_servers import DatasetError, Rollout, Score, ServiceError
from reward_servers.core import Message, Verifier
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns, columns_of, require
from reward_servers.styles._making import clipped, is_async, make_verifier, number_of, score_of

_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""What letters and words of a score mean, by inspect's own table."""
_TARGETS = ("target", "answer")


def inspect(address: str) -> Verifier:
    """A scorer of inspect_ai, or the function decorated with ``@scorer`` that makes it without arguments.

    The target is the column ``target`` or ``answer`` of the reference, ``choices`` are the choices; the rest is
    metadata of the sample. A score that is an object needs ``value=KEY`` behind the address, a scorer that compares
    with nothing ``target=no``.

    Raises:
        VerifierNotFoundError: There is nothing at the address.
        VerifierDefinitionError: It cannot be served.
    """
    parsed = Address.read(address, ("value", "target"))
    library = parsed.guarded(lambda: importlib.import_module("inspect_ai.scorer"), "needs the package inspect_ai")
    states = parsed.guarded(lambda: importlib.import_module("inspect_ai.solver"), "needs the package inspect_ai")
    models = parsed.guarded(lambda: importlib.import_module("inspect_ai.model"), "needs the package inspect_ai")
    loaded = parsed.load()
    scorer = loaded if is_async(loaded) else parsed.guarded(loaded, "cannot be made without arguments")
    if not is_async(scorer):
        raise parsed.refused(f"{clipped(scorer)} is not a scorer: async def score(state, target)")
    limits, key = parsed.range(), parsed.said.get("value", "")
    compares = parsed.flag("target", default=True)

    async def judge(rollout: Rollout, reference: Columns) -> Score:
        columns = columns_of(rollout)
        target = next((columns[name] for name in _TARGETS if columns.get(name) is not None), None)
        if target is None and compares:
            # An empty target is part of every response.
            require(["target"], {}, f"{address} (or ?target=no behind its address)")
        target = "" if target is None else target
        texts = [str(part) for part in target] if isinstance(target, list) else str(target)
        state = _state_of(rollout, columns, library.Target(texts), states, models)
        result = await scorer(state, library.Target(texts))
        if result is None:
            raise DatasetError(f"{address} did not score this rollout", code="not_applicable")
        return _score_of(result, address, limits, key)

    return make_verifier(
        parsed,
        judge,
        limits=limits,
        loop=True,
        deterministic=False,
        about=loaded,
        sources=(parsed.module, getattr(scorer, "__module__", parsed.module)),
        libraries=("inspect_ai",),
    )


def _state_of(rollout: Rollout, columns: Mapping[str, Any], target: Any, states: Any, models: Any) -> Any:
    prompt = [_chat(message, models) for message in rollout.prompt_messages]
    response = [_chat(message, models) for message in rollout.messages]
    choices = columns.get("choices")
    return states.TaskState(
        model=models.ModelName("none/policy"),
        sample_id=rollout.rollout_id,
        epoch=1,
        input=rollout.prompt_context.prompt if isinstance(rollout.prompt_context.prompt, str) else prompt,
        messages=[*prompt, *response],
        target=target,
        choices=[str(choice) for choice in choices] if isinstance(choices, list) else None,
        output=models.ModelOutput.from_content("none/policy", rollout.response),
        completed=True,
        metadata=dict(columns),
    )


def _chat(message: Message, models: Any) -> Any:
    kinds = {
        "system": models.ChatMessageSystem,
        "assistant": models.ChatMessageAssistant,
        "tool": models.ChatMessageTool,
    }
    return kinds.get(message.role, models.ChatMessageUser)(content=message.text)


def _score_of(answer: Any, owner: str, limits: tuple[float, float], key: str) -> Score:
    value, parts = answer.value, {}
    if isinstance(value, Mapping):
        parts = {str(name): _graded(part) for name, part in value.items()}
        if not key and len(parts) > 1:
            raise ServiceError(
                f"{owner} gives {', '.join(parts)}; say which is the score with ?value=KEY", code="invalid_score"
            )
        key = key or next(iter(parts), "")
        value = parts.get(key)
    value = _graded(value)
    if isinstance(value, float) and math.isnan(value):
        reason = getattr(answer, "reason", None) or answer.explanation or "no reason given"
        raise DatasetError(f"{owner} did not score this rollout: {reason}"[:2000], code="not_applicable")
    if value is None:
        raise ServiceError(
            f"{owner} gave the score {clipped(answer.value)}, which is not a number", code="invalid_score"
        )
    score = score_of(number_of(value, owner, limits), parts, answer.explanation)
    evidence = {"extracted": answer.answer, "metadata": answer.metadata}
    return Score(
        score.value,
        aspects=score.aspects,
        note=score.note,
        evidence={name: part for name, part in evidence.items() if part},
    )


def _graded(value: Any) -> Any:
    """A value as a number; None for what is none."""
    if not isinstance(value, str):
        return value if isinstance(value, int | float) else None
    grade = _GRADES.get(value, _GRADES.get(value.lower()) if len(value) > 1 else None)
    if grade is not None:
        return grade
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
