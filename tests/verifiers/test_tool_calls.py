"""Calls of tools are matched as the Berkeley Function-Calling Leaderboard matches them, on 1,000 random inputs."""

from __future__ import annotations

import json

from reward_servers import Rollout
from reward_servers.verifiers.tools.tool_calls import ToolCallsOptions, ToolCallsReference, tool_calls
from tests.verifiers.bfcl_inputs import DRAWN, RECORDED, Calls, inputs


def accepted(made: Calls, possible: Calls) -> bool:
    calls = [{"name": name, "arguments": given} for one in made for name, given in one.items()]
    reference = ToolCallsReference.model_validate({"ground_truth": possible})
    outcome = tool_calls.target(Rollout(json.dumps(calls)), reference, ToolCallsOptions.model_validate({}))
    return bool(outcome.value == 1.0)


def test_calls_are_judged_as_the_leaderboard_does() -> None:
    theirs = [bool(int(one)) for one in json.loads(RECORDED.read_text("utf-8"))["verdicts"]]
    drawn = inputs()
    ours = [accepted(made, possible) for _, made, possible in drawn]
    differ = [one for one, mine, other in zip(drawn, ours, theirs, strict=True) if mine != other]
    assert len(drawn) == DRAWN
    assert 300 < sum(theirs) < 700
    assert differ == []
