"""The way that an agent went: which tools it called, how often, and in which state it left the world."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from reward_servers import CallerError, ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines.toolcalls import Call, MalformedCallError, Rules, assign, same_arguments, same_value
from reward_servers.verifiers.tools._made import ExpectedCall, made_calls

_MOST = 256
_RULES = Rules()
_EXACT = Rules(exact_text=True)


class ForbiddenCall(BaseModel):
    """A call that no trajectory may have: any call of the tool, or only those with these arguments."""

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = Field(default_factory=dict)


class TrajectoryReference(Reference):
    """What a right way has in it. At least one of the fields is given."""

    calls: list[ExpectedCall] = Field([], max_length=_MOST, description="Calls of a right way, in their order.")
    forbidden: list[ForbiddenCall] = Field([], max_length=_MOST, description="Calls that give the floor.")
    enough_calls: int | None = Field(
        None, ge=0, description="Calls that are enough; the number of `calls`, if not given."
    )
    final_state: Any = Field(None, description="State in which the world must be at the end.")

    @model_validator(mode="after")
    def _check(self) -> TrajectoryReference:
        if not (self.calls or self.forbidden or self.enough_calls is not None or self.final_state is not None):
            raise ValueError("give `calls`, `forbidden`, `enough_calls` or `final_state`")
        return self


class TrajectoryOptions(Options):
    """How a way is compared."""

    match: Literal["strict", "unordered", "superset", "subset"] = Field(
        "superset",
        description="Same calls in order; same calls; at least those of the reference; some of those and no other.",
    )
    arguments: bool = Field(True, description="Whether arguments are compared, or names alone.")
    grade: Literal["all", "share"] = Field("all", description="1 for a match, or the F1 of calls made and expected.")
    efficiency: bool = Field(
        False, description="Whether the score is multiplied by `enough_calls` / calls, where that is below 1."
    )
    state_field: str = Field(
        "final_state", description="Field of the metadata that holds the state, as the trainer saw it."
    )
    state: Literal["equal", "contains"] = Field(
        "equal", description="'contains': what the reference leaves out is free."
    )


@verifier(
    "trajectory",
    version="1",
    limits=ItemLimits(response_bytes=4 << 20),
    aspects={"matched": 0.0, "efficiency": 0.0, "forbidden": 0.0, "repeated": 0.0, "state": 0.0, "calls": 0.0},
)
def trajectory(rollout: Rollout, ref: TrajectoryReference, options: TrajectoryOptions) -> Score:
    """Whether an agent made the right calls, none that is forbidden, and left the right state.

    Calls are those of the messages (chat completions and Responses), or of a text in Harmony. The state is what the
    caller sends in the metadata, never what the response says of it. The four ways to match are those of AgentEvals.

    Sources: langchain-ai/agentevals for the ways to match; tau-bench (arXiv 2406.12045) for the state at the end.
    """
    is_checked = {
        "matched": ref.calls,
        "efficiency": ref.enough_calls is not None or ref.calls,
        "state": ref.final_state,
    }
    aspects: dict[str, float | None] = {name: 0.0 if checked else None for name, checked in is_checked.items()}
    names = [call.name for message in rollout.messages if message.role == "assistant" for call in message.tool_calls]
    forbidden_used = sorted({call.name for call in ref.forbidden} & set(names))
    try:
        calls = made_calls(rollout)
    except MalformedCallError as error:
        # A call that cannot be read may be a forbidden one.
        aspects["forbidden"] = float(len(forbidden_used))
        return Score(None, "forbidden_call" if forbidden_used else "malformed", aspects=aspects, note=str(error))
    if len(calls) > _MOST:
        return Score(None, "limit", aspects={**aspects, "calls": float(len(calls))}, note=f"{len(calls)} calls")
    forbidden = [call.name for call in calls if any(_is_forbidden(call, rule) for rule in ref.forbidden)]
    enough = ref.enough_calls if ref.enough_calls is not None else len(ref.calls) if ref.calls else None
    matched, f1 = _match(calls, ref.calls, options) if ref.calls else (True, 1.0)
    state = _state(rollout, ref.final_state, options)
    aspects |= {
        "matched": float(matched) if ref.calls else None,
        "efficiency": None if enough is None else min(1.0, enough / len(calls)) if calls else 1.0,
        "forbidden": float(len(forbidden)),
        "repeated": float(sum(call in calls[:place] for place, call in enumerate(calls))),
        "state": None if state is None else float(state),
        "calls": float(len(calls)),
    }
    if forbidden:
        return Score(0.0, "forbidden_call", note=", ".join(sorted(set(forbidden))), aspects=aspects)
    if state is False:
        return Score(0.0, "wrong_state", aspects=aspects)
    value = float(matched) if options.grade == "all" else f1
    value *= (aspects["efficiency"] or 0.0) if options.efficiency and enough is not None else 1.0
    code = "no_call" if ref.calls and not calls else ""
    return Score(value, code, aspects=aspects, evidence={"calls": [[call.name, call.arguments] for call in calls[:20]]})


def _is_forbidden(call: Call, forbidden: ForbiddenCall) -> bool:
    return call.name == forbidden.name and all(
        name in call.arguments and same_value(call.arguments[name], value, _RULES)
        for name, value in forbidden.arguments.items()
    )


def _match(calls: list[Call], expected: list[ExpectedCall], options: TrajectoryOptions) -> tuple[bool, float]:
    """Whether the calls match, and the F1 of calls made and expected."""

    def fits(at: int, expected_at: int) -> bool:
        if calls[at].name != expected[expected_at].name or (options.match == "strict" and at != expected_at):
            return False
        return not options.arguments or all(
            same_arguments(calls[at].arguments, expected[expected_at].arguments, _RULES).values()
        )

    right = len(assign(len(calls), len(expected), fits))
    matches = {
        "strict": right == len(calls) == len(expected),
        "unordered": right == len(calls) == len(expected),
        "superset": right == len(expected),
        "subset": 0 < right == len(calls),
    }
    return matches[options.match], 2 * right / (len(calls) + len(expected))


def _state(rollout: Rollout, right: Any, options: TrajectoryOptions) -> bool | None:
    """Whether the state is the right one; None where none is asked for."""
    if right is None:
        return None
    metadata = rollout.metadata
    if options.state_field not in metadata:
        raise CallerError(f"metadata.{options.state_field}: send the state that the run ended in", code="missing_state")
    state = metadata[options.state_field]
    return same_value(state, right, _EXACT) if options.state == "equal" else _contains(state, right)


def _contains(state: Any, right: Any) -> bool:
    if isinstance(right, dict):
        return isinstance(state, dict) and all(name in state and _contains(state[name], right[name]) for name in right)
    return same_value(state, right, _EXACT)
