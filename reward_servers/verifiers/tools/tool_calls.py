"""Compares calls of tools with the right ones."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.toolcalls import (
    MalformedCallError,
    Rules,
    assign,
    same_arguments,
)
from reward_servers.verifiers.tools._made import ExpectedCall, made_calls

_MOST = 64


def _leaderboard_call(call: Any) -> Any:
    """A call as the leaderboard's files write it: the arguments under the name."""
    if isinstance(call, dict) and len(call) == 1 and isinstance(next(iter(call.values())), dict):
        return {"name": next(iter(call)), "arguments": next(iter(call.values()))}
    return call


class ToolCallsReference(Reference):
    """The right calls; none where no tool helps."""

    calls: list[ExpectedCall] = Field(
        max_length=_MOST, description="The right calls; `answer`, and `ground_truth` of BFCL, are read as well."
    )
    possible: bool = Field(
        False,
        description='Whether each argument is a list of values that are right, with "" for one that may be left out.',
    )

    @model_validator(mode="before")
    @classmethod
    def _take_answer(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "calls" in data:
            return data
        if isinstance(data.get("ground_truth"), list):
            calls = [_leaderboard_call(entry) for entry in data["ground_truth"]]
            return {"possible": True, **data, "calls": calls}
        return {**data, "calls": data["answer"]} if "answer" in data else data

    @model_validator(mode="after")
    def _check(self) -> ToolCallsReference:
        for call in self.calls:
            wrong = [name for name, value in call.arguments.items() if self.possible and not isinstance(value, list)]
            if wrong:
                raise ValueError(f"calls: with `possible`, {wrong[0]!r} of {call.name} is a list of values")
        return self


class ToolCallsOptions(Options):
    """Which differences count."""

    metric: Literal["exact", "f1"] = Field(
        "exact", description="All calls right and no other, or F1 over calls that are right as a whole."
    )
    order: Literal["any", "given"] = Field("any", description="Whether the order of calls counts.")
    text: Literal["standard", "exact"] = Field(
        "standard", description="Whether case, blanks and ,./-_*^ of texts make no difference, as in the leaderboard."
    )


@verifier(
    "tool_calls",
    version="2",
    limits=ItemLimits(response_bytes=1 << 20),
    aspects=dict.fromkeys(("f1", "names", "arguments", "calls"), 0.0),
)
def tool_calls(rollout: Rollout, ref: ToolCallsReference, options: ToolCallsOptions) -> Score:
    """Whether the tools that a response calls, with their arguments, are the right ones.

    Source: the AST check of the Berkeley Function-Calling Leaderboard (arXiv 2402.15671) for what is the same value.
    """
    try:
        calls = made_calls(rollout)
    except MalformedCallError as error:
        return Score.floor("malformed", str(error))
    if len(calls) > _MOST:
        return Score.floor("limit", f"{len(calls)} calls")
    rules = Rules(options.text == "exact", ref.possible)

    def same_name(at: int, expected: int) -> bool:
        return calls[at].name == ref.calls[expected].name and (options.order == "any" or at == expected)

    def fits(at: int, expected: int) -> bool:
        return same_name(at, expected) and all(_arguments(at, expected).values())

    def _arguments(at: int, expected: int) -> dict[str, bool]:
        return same_arguments(calls[at].arguments, ref.calls[expected].arguments, rules)

    right = assign(len(calls), len(ref.calls), fits)
    called = assign(len(calls), len(ref.calls), same_name)
    checks = [holds for at, expected in (called | right).items() for holds in _arguments(at, expected).values()]
    total = len(calls) + len(ref.calls)
    aspects = {
        "f1": 2 * len(right) / total if total else 1.0,
        "names": 2 * len(called) / total if total else 1.0,
        "arguments": sum(checks) / len(checks) if checks else None,
        "calls": float(len(calls)),
    }
    value = aspects["f1"] if options.metric == "f1" else float(len(right) == len(calls) == len(ref.calls))
    code = "no_call" if ref.calls and not calls else ""
    return Score(value, code, aspects=aspects, evidence={"calls": [[call.name, call.arguments] for call in calls[:20]]})
