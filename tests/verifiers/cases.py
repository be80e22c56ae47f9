"""Case files of verifiers, read for a call of the bare function: no server, thousands of judgements a second."""

from __future__ import annotations

import inspect
import json
from base64 import b64decode
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reward_servers.core import (
    Document,
    Fault,
    Group,
    Instance,
    Message,
    Part,
    PromptContext,
    Rollout,
    ToolCall,
    Verdict,
    Verifier,
)
from reward_servers.core._bound import outcome_of

FOLDER = Path(__file__).parent.parent / "data" / "verifiers"
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Subject:
    """A rollout, or a group of them, with what is expected of each."""

    judged: Rollout | Group
    options: bytes
    expected: tuple[Mapping[str, Any], ...]


def rows_of(name: str) -> list[dict[str, Any]]:
    """The lines of a case file."""
    return [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines()]


def subjects_of(verifier: Verifier, rows: Sequence[Mapping[str, Any]] | None = None) -> list[Subject]:
    """The cases of a verifier, or these: rollouts one by one, or whole groups for one that judges groups."""
    rows = rows_of(verifier.name) if rows is None else rows
    if verifier.scope != "group":
        return [_subject([row], verifier) for row in rows]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row.get("group_id", row["rollout_id"]), []).append(row)
    return [_subject(members, verifier) for members in groups.values()]


def differing(verifier: Verifier, subjects: Sequence[Subject]) -> int | None:
    """Place of the first case to which the bare function gives something else than it expects; None where none is."""
    instance = Instance(verifier, b"{}")
    try:
        return next(
            (place for place, one in enumerate(subjects) if not _same(one, judged(instance, one))),
            None,
        )
    finally:
        instance.close()


def _subject(rows: Sequence[Mapping[str, Any]], verifier: Verifier) -> Subject:
    first = rows[0]
    context = PromptContext(
        group_id=first.get("group_id", first["rollout_id"]),
        prompt=first.get("prompt", ""),
        reference=json.dumps(first["reference"]).encode() if first.get("reference") is not None else b"",
        documents=tuple(Document(one["id"], one["text"], uri=one.get("uri", "")) for one in first.get("documents", [])),
        size=len(rows),
    )
    rollouts = [
        Rollout(
            _content(row["response"]),
            context,
            row["rollout_id"],
            token_ids=tuple(row.get("token_ids", ())),
            metadata_json=json.dumps(row["metadata"]).encode() if "metadata" in row else b"",
        )
        for row in rows
    ]
    options = json.dumps(first["options"]).encode() if "options" in first else b""
    judged: Rollout | Group = Group(context, rollouts) if verifier.scope == "group" else rollouts[0]
    return Subject(judged, options, tuple(row["expected"] for row in rows))


def _content(response: Any) -> Any:
    if isinstance(response, str):
        return response
    return tuple(
        _item(turn)
        if turn.get("type") in _ITEMS
        else Message(
            turn["role"],
            tuple(map(_part, turn["content"]))
            if isinstance(turn.get("content"), list)
            else ((Part("text", turn["content"]),) if turn.get("content") else ()),
            tool_calls=tuple(
                ToolCall(call.get("id", ""), call["function"]["name"], call["function"]["arguments"])
                for call in turn.get("tool_calls", ())
            ),
        )
        for turn in response
    )


_ITEMS = ("function_call", "function_call_output", "reasoning")
"""Items of the Responses API that are no messages."""


def _item(item: Mapping[str, Any]) -> Message:
    if item["type"] == "function_call":
        return Message("assistant", (), tool_calls=(ToolCall(item["call_id"], item["name"], item["arguments"]),))
    if item["type"] == "reasoning":
        return Message("assistant", tuple(Part("reasoning", piece["text"]) for piece in item["summary"]))
    return Message("tool", (Part("text", item["output"]),), tool_call_id=item["call_id"])


def _part(part: Mapping[str, Any]) -> Part:
    if part["type"] in ("text", "reasoning", "output_text"):
        return Part("reasoning" if part["type"] == "reasoning" else "text", part["text"])
    header, _, payload = part["image_url"]["url"].partition(",")
    return Part("blob", data=b64decode(payload), mime=header[5:].partition(";")[0])


def judged(instance: Instance, subject: Subject) -> Sequence[Verdict | Fault]:
    """What the bare function says of a subject."""
    context = instance.context(subject.judged, 0, None)
    arguments = instance.arguments(subject.judged, subject.options, context)
    if isinstance(arguments, Fault):
        return [arguments] * len(subject.expected)
    try:
        returned = instance.function(*arguments)
        returned = _at_once(returned) if inspect.iscoroutine(returned) else returned
    except Exception as error:  # noqa: BLE001 - as the server does
        return [outcome_of(error, instance.verifier)] * len(subject.expected)
    return instance.settle(returned, subject.judged, context)


def _at_once(waiting: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing returns; a loop would cost more than the verifier."""
    try:
        waiting.send(None)
    except StopIteration as end:
        return end.value
    waiting.close()
    raise NotImplementedError("the bare function of a verifier that waits for another one is not called here")


def _same(subject: Subject, outcomes: Sequence[Verdict | Fault]) -> bool:
    return all(_expected(outcome, want) for outcome, want in zip(outcomes, subject.expected, strict=True))


def _expected(outcome: Verdict | Fault, want: Mapping[str, Any]) -> bool:
    score = outcome.score if isinstance(outcome, Verdict) else None
    aspects = dict(outcome.aspects) if isinstance(outcome, Verdict) else {}
    return (
        _near(score, want.get("score"))
        and want.get("code") in (None, outcome.code)
        and all(_near(aspects.get(name), value) for name, value in (want.get("aspects") or {}).items())
    )


def _near(found: float | None, wanted: float | None) -> bool:
    return found is wanted if found is None or wanted is None else abs(found - wanted) <= TOLERANCE
