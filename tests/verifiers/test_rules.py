"""The verifiers that need nothing but rules: exact, choice, format, length."""

from __future__ import annotations

import pytest

from reward_servers.core import ItemLimits, Message, Part, RequestError, ToolCall, bind
from reward_servers.verifiers.choice import choice
from reward_servers.verifiers.exact import exact
from reward_servers.verifiers.format import format as format_
from reward_servers.verifiers.length import length
from tests.verifiers.harness import bench, evidence, rollout


async def test_a_conversation_is_judged_by_its_last_visible_text() -> None:
    call = ToolCall("1", "search", "{}")
    messages = (
        Message("assistant", (Part("text", "Lyon"),), tool_calls=(call,)),
        Message("tool", (Part("text", "Paris is the capital"),), tool_call_id="1"),
        Message("assistant", (Part("reasoning", "so Lyon is wrong"), Part("text", "Paris"))),
    )
    async with bench(exact) as running:
        verdict = await running.verdict("exact", rollout(messages, {"answer": "Paris"}))
    assert verdict.score == 1.0
    assert evidence(verdict)["compared"] == "paris"


@pytest.mark.parametrize(
    ("name", "options", "field"),
    [
        ("exact", {"take": "middle"}, "options.take"),
        ("exact", {"endpoint": "http://x"}, "options.endpoint"),
        ("choice", {"count": 1}, "options.count"),
        ("format", {}, "rule"),
        ("format", {"tags": ["a", "a"]}, "options.tags"),
        ("format", {"json_in": "response", "json_schema": {"type": 3}}, "options.json_schema"),
        ("length", {}, "max"),
        ("length", {"max": 3, "buffer": 4}, "buffer"),
    ],
)
async def test_wrong_options_are_refused_by_field(name: str, options: dict[str, object], field: str) -> None:
    async with bench(exact, choice, format_, length) as running:
        with pytest.raises(RequestError, match=field):
            await running.outcomes(name, [rollout("x", {"answer": "A"})], options)


async def test_a_missing_or_wrong_reference_is_the_data_sets_fault() -> None:
    async with bench(exact) as running:
        missing = await running.fault("exact", rollout("x"))
        wrong = await running.fault("exact", rollout("x", {"answer": ""}))
    assert (missing.party.value, missing.code) == ("dataset", "missing_reference")
    assert (wrong.party.value, wrong.code) == ("dataset", "invalid_reference")


async def test_format_reports_each_rule_and_shows_the_policy_no_schema() -> None:
    options = {"tags": ["answer"], "json_in": "tag", "json_schema": {"required": ["secret"]}}
    async with bench(format_) as running:
        verdict = await running.verdict("format", rollout("<answer>{}</answer>"), options)
    assert dict(verdict.aspects) == {
        "tags_present": 1.0,
        "tags_once": 1.0,
        "tags_order": 1.0,
        "json": 1.0,
        "schema": 0.0,
    }
    assert b"secret" in verdict.evidence
    assert b"secret" not in verdict.feedback


async def test_a_pattern_that_explodes_costs_its_own_item_a_verdict() -> None:
    options = {"json_in": "response", "json_schema": {"items": {"pattern": "^(a+)+$"}}}
    async with bench(bind(format_, limits=ItemLimits(cpu_s=0.3))) as running:
        hostile, honest = await running.outcomes(
            "format", [rollout('["' + "a" * 60 + '!"]'), rollout('["aaa"]', rollout_id="s")], options
        )
    assert (getattr(hostile, "score", None), getattr(hostile, "code", "")) == (0.0, "limit")
    assert getattr(honest, "score", None) == 1.0
