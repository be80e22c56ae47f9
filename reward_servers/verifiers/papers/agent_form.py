"""The form of what an agent of a system of several writes (M-GRPO)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from reward_servers import ItemLimits, Options, Rollout, Score, verifier
from reward_servers.core import Message
from reward_servers.engines.text import TAG_NAME

_RULES = ("balanced", "order", "turns", "result")


class AgentFormOptions(Options):
    """The tags, and what a response is worth that keeps some of the rules."""

    thinking: str = Field("think", pattern=TAG_NAME, description="Tag of the thinking that begins every turn.")
    call: str = Field("tool_call", pattern=TAG_NAME, description="Tag of a call; native calls need none.")
    result: str = Field("result", pattern=TAG_NAME, description="Tag of the result, which ends the last turn.")
    grade: Literal["all", "share"] = Field("all", description="1 where all four rules hold, or the share that does.")

    @model_validator(mode="after")
    def _check(self) -> AgentFormOptions:
        if len({self.thinking, self.call, self.result}) < 3:
            raise ValueError("thinking, call, result: three different tags")
        return self


@verifier("agent_form", version="1", limits=ItemLimits(response_bytes=4 << 20), aspects=dict.fromkeys(_RULES, 0.0))
def agent_form(rollout: Rollout, options: AgentFormOptions) -> Score:
    """Whether each turn of an agent thinks and then calls a tool or gives its result, and the last one gives it.

    Four rules, each an aspect: `balanced` tags, none inside another; their `order` in a turn, thinking first, then
    calls or the result and not both; `turns` of the agent and of its tools by turns, the agent's first and last; a
    `result` with words in the last turn and in no other. Source: the format check of AQ-MedAI/MrlX @0d047883, as M-GRPO
    (arXiv 2511.13288) uses it.
    """
    turns = rollout.messages
    own = [turn for turn in turns if turn.role == "assistant"]
    if not any(turn.text.strip() or turn.tool_calls for turn in own):
        return Score.floor("no_answer", "the agent wrote nothing")
    parts = [_parts(turn, options) for turn in own]
    if all(part == [] for part in parts):
        return Score(None, "malformed", aspects=dict.fromkeys(_RULES, 0.0), note="there is no tag")
    rules = {
        "balanced": all(part is not None for part in parts),
        "order": all(_in_order(part, turn, options) for part, turn in zip(parts, own, strict=True)),
        "turns": _by_turns(turns),
        "result": [_results(part, options) for part in parts] == [0] * (len(own) - 1) + [1],
    }
    value = sum(rules.values()) / len(_RULES) if options.grade == "share" else float(all(rules.values()))
    broken = [name for name, holds in rules.items() if not holds]
    code = "malformed" if broken else "accepted"
    return Score(
        value, code, aspects={name: float(holds) for name, holds in rules.items()}, feedback={"failed": broken}
    )


def _parts(turn: Message, options: AgentFormOptions) -> list[tuple[str, str]] | None:
    """Tags of a turn in order, each with what it holds; None where they are not balanced, or nested.

    Reasoning that the caller sends apart from the text is the thinking.
    """
    text = turn.text
    names = "|".join(map(re.escape, (options.thinking, options.call, options.result)))
    apart = "".join(part.text for part in turn.parts if part.kind == "reasoning").strip()
    parts = [(options.thinking, apart)] if apart else []
    opened: re.Match[str] | None = None
    for mark in re.finditer(rf"<(/?)({names})>", text):
        if not mark[1]:
            if opened is not None:
                return None
            opened = mark
        elif opened is None or opened[2] != mark[2]:
            return None
        else:
            parts.append((mark[2], text[opened.end() : mark.start()].strip()))
            opened = None
    return None if opened is not None else parts


def _in_order(parts: Sequence[tuple[str, str]] | None, turn: Message, options: AgentFormOptions) -> bool:
    if not parts:
        return False
    first, *later = [name for name, _ in parts]
    acts = {*later, *([options.call] if turn.tool_calls else [])}
    return first == options.thinking and options.thinking not in later and len(acts) == 1 and all(w for _, w in parts)


def _by_turns(turns: Sequence[Message]) -> bool:
    """Whether the agent begins, ends, and is answered between; the answers to several calls are one turn."""
    roles = ["agent" if turn.role == "assistant" else "others" for turn in turns]
    ends = roles[0] == roles[-1] == "agent"
    return ends and not any(role == following == "agent" for role, following in pairwise(roles))


def _results(parts: Sequence[tuple[str, str]] | None, options: AgentFormOptions) -> int:
    return sum(name == options.result and bool(words) for name, words in parts or ())
