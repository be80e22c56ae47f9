"""Whether the calls of tools in a response can be made at all (the first stage of PRS)."""

from __future__ import annotations

from typing import Any

from jsonschema.exceptions import best_match
from pydantic import Field, field_validator
from referencing.exceptions import Unresolvable

from reward_servers import DatasetError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.toolcalls import Call, MalformedCallError
from reward_servers.verifiers._schemas import checked, compiled
from reward_servers.verifiers.tools._made import made_calls

_MOST = 64


def _tool(declaration: Any) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a tool, as chat completions and Responses describe it."""
    function = declaration.get("function", declaration) if isinstance(declaration, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise ValueError('each tool is {"name": ..., "parameters": {...}}, or such an object under "function"')
    parameters = function.get("parameters")
    if not isinstance(parameters, dict | None):
        raise ValueError(f"tool {function['name']!r}: `parameters` is a JSON Schema")
    checked(parameters)
    return function["name"], parameters or {}


class CallFormReference(Reference):
    """The tools that there are."""

    tools: tuple[dict[str, Any], ...] | None = Field(
        None, max_length=256, description="Tools as they were offered; without them any name and arguments will do."
    )

    @field_validator("tools")
    @classmethod
    def _check(cls, value: tuple[dict[str, Any], ...] | None) -> tuple[dict[str, Any], ...] | None:
        names = [_tool(tool)[0] for tool in value or ()]
        if len(set(names)) != len(names):
            raise ValueError("two tools have one name")
        return value


class CallFormOptions(Options):
    """What a response without a call is worth."""

    required: bool = Field(True, description="Whether a response without any call gets the floor, or 1.")


# In a worker process: a schema's patterns may take exponential time on what a candidate writes.
@verifier(
    "call_form",
    version="2",
    limits=ItemLimits(response_bytes=1 << 20),
    aspects=dict.fromkeys(("calls", "known", "fitting"), 0.0),
)
def call_form(rollout: Rollout, ref: CallFormReference, options: CallFormOptions) -> Score:
    """Whether every call of a tool can be read, names a tool that there is, and has arguments that its schema allows.

    Calls are those of the messages, or of the text in the forms that `tool_calls` reads. `known` and `fitting` are the
    shares of the calls that name a tool and that fit its schema; `calls` is -1 where one cannot be read. The first
    stage of PRS (arXiv 2512.07478, from its abstract): weigh it with `progressive_reward`.

    Source: JSON Schema 2020-12 for the arguments.
    """
    try:
        calls = made_calls(rollout)
    except MalformedCallError as error:
        return _floor("malformed", str(error), -1)
    if len(calls) > _MOST:
        return _floor("limit", f"{len(calls)} calls", len(calls))
    if not calls and options.required:
        return _floor("no_call", "there is no call", 0)
    if not calls:
        return Score(1.0, aspects={"calls": 0.0, "known": 1.0, "fitting": 1.0})
    tools = dict(map(_tool, ref.tools)) if ref.tools is not None else None
    problems = [_problem(call, tools) for call in calls]
    declared = sum(tools is None or call.name in tools for call in calls)
    aspects = {"calls": len(calls), "known": declared / len(calls), "fitting": problems.count("") / len(calls)}
    wrong = [problem for problem in problems if problem]
    if wrong:
        return Score(0.0, "malformed", aspects=aspects, note="; ".join(wrong)[:500], feedback={"problems": wrong[:5]})
    return Score(1.0, aspects=aspects)


def _floor(code: str, note: str, calls: int) -> Score:
    """With aspects: a method that reads them must not leave out who wrote such calls."""
    return Score(None, code, aspects={"calls": float(calls), "known": 0.0, "fitting": 0.0}, note=note)


def _problem(call: Call, tools: dict[str, dict[str, Any]] | None) -> str:
    """The problem of a call; empty if there is none."""
    if tools is None:
        return ""
    if call.name not in tools:
        return f"there is no tool {call.name[:100]!r}"
    try:
        violation = best_match(compiled(tools[call.name]).iter_errors(call.arguments))
    except Unresolvable as error:
        message = f"$ref {error.ref!r} leads nowhere inside the schema; write it into $defs"
        raise DatasetError(f"reference.tools: {call.name}: {message}") from None
    return "" if violation is None else f"{call.name}: {violation.json_path}: {violation.message}"[:300]
