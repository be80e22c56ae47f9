"""Rollout files and rollouts: what is read, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer_client import (
    Document,
    LineProblem,
    Rollout,
    RolloutError,
    read_rollouts,
)

GOOD = {"rollout_id": "a", "prompt": "p", "response": "r"}


def line(**changes: Any) -> bytes:
    table = {**GOOD, **changes}
    return json.dumps({key: value for key, value in table.items() if value is not ...}).encode()


BAD = [
    (b"{", "not JSON"),
    (b"[1]", "expected an object, found list"),
    (b'{"rollout_id": "a\xff"}', "not UTF-8: invalid start byte at byte 17"),
    (b'{"rollout_id": "a", "prompt": "p", "response": NaN}', "NaN is not a JSON value"),
    (b"[" * 200_000, "not JSON"),
    (line(response=...), "response: is missing"),
    (line(response=None), 'response: is missing: null is no answer; write "" for an empty one'),
    (line(rollout_id=True), "rollout_id: expected a text"),
    (line(group_id=1.5), "group_id: expected text"),
    (
        line(response=True),
        'is true, not a text; write it in quotes as the policy wrote it, such as "true"',
    ),
    (
        line(response={"a": 1}),
        "is an object, not a text; say which part is the text, such as response=response.a",
    ),
    (line(response={}), "response: is an object"),
    (line(task=1), "task: expected text, found int"),
    (line(metadata=[1]), "metadata: expected an object, found list"),
    (line(expected=[1]), "expected: expected an object"),
    (line(documents={}), "documents: expected a list"),
    (line(documents=[{"id": "d"}]), "documents[0]: needs id and text"),
    (line(documents=[{"id": "d", "text": 3}]), "documents[0].text: expected text"),
    (line(documents=[{"id": "d", "text": "", "url": ""}]), "'url' is not a field of a document"),
    (line(documents=[{"id": "d", "text": ""}] * 2), "two documents have the id 'd'"),
    (line(token_ids=[1.5]), "token_ids: expected whole numbers"),
    (line(response=[{"content": "x"}]), "response: [0].role: expected text, found nothing"),
    (line(response=[{"role": "a", "content": [{"type": "video"}]}]), "[0].content[0].type: 'video'"),
    (
        line(response=[{"role": "a", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]),
        "images are not downloaded",
    ),
]


@pytest.mark.parametrize(("content", "reason"), BAD)
def test_a_malformed_line_costs_no_other(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"\n".join([line(), content, b"", line(rollout_id="b")]) + b"\n")
    found = read_rollouts(path)
    assert [rollout.rollout_id for rollout in found.rollouts] == ["a", "b"]
    assert [problem.line for problem in found.problems] == [2]
    assert reason in found.problems[0].reason


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (42, ["42"]),
        (-0.5, ["-0.5"]),
        ({"role": "assistant", "content": "x"}, [[{"role": "assistant", "content": "x"}]]),
        ([4, 5.5], ["4", "5.5"]),
    ],
)
def test_a_number_is_its_text_and_a_message_a_conversation(tmp_path: Path, given: Any, read: Any) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line(response=given))
    found = read_rollouts(path)
    assert [rollout.response for rollout in found.rollouts] == read
    assert not found.problems


def test_duplicates_and_prompts_that_differ_within_a_group(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    lines = [line(group_id="g"), line(), line(rollout_id="b", group_id="g", prompt="other")]
    path.write_bytes(b"\n".join(lines))
    assert read_rollouts(path).problems == [
        LineProblem(2, "rollout_id: 'a' is already used on line 1"),
        LineProblem(3, "prompt: differs from line 1, of the same group 'g'"),
    ]


def test_columns_of_another_shape_are_given_to_fields(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    table = {"question": "6*7?", "completion": "42", "answer": 42, "extra": {"id": 7, "tags": ["x", "y"]}, "more": 1}
    path.write_text(json.dumps(table) + "\n")
    columns = {
        "prompt": "question",
        "response": "completion",
        "reference.answer": "answer",
        "rollout_id": "extra.id",
        "metadata.tag": "extra.tags.1",
    }
    found = read_rollouts(path, columns)
    assert not found.problems
    (rollout,) = found.rollouts
    assert (rollout.rollout_id, rollout.prompt, rollout.response) == ("7", "6*7?", "42")
    assert (rollout.reference, rollout.metadata) == ({"answer": 42}, {"tag": "y"})
    assert rollout.extra == {"extra": {"id": 7, "tags": ["x", "y"]}, "more": 1}
    assert list(found.columns) == ["question", "completion", "answer", "extra", "more"]
    for wrong in ("respnse", "reference.", "response.text"):
        with pytest.raises(RolloutError, match=f"'{wrong}' is not a field of a rollout"):
            read_rollouts(path, {wrong: "completion"})


def test_rows_without_ids_are_called_after_their_line_and_grouped_by_their_prompt(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    chat = [{"role": "user", "content": "p"}]
    rows = [
        line(rollout_id=...),
        line(rollout_id=5, prompt="q"),
        line(rollout_id=...),
        line(rollout_id=..., prompt=chat),
        line(rollout_id=..., prompt=chat),
        line(rollout_id="own", group_id=3),
        line(rollout_id="bare", prompt=...),
    ]
    path.write_bytes(b"\n".join(rows))
    found = read_rollouts(path)
    assert not found.problems
    names = ["line-1", "5", "line-3", "line-4", "line-5", "own", "bare"]
    assert [rollout.rollout_id for rollout in found.rollouts] == names
    groups = [rollout.group_id for rollout in found.rollouts]
    assert groups[0] == groups[2] != groups[1]
    assert groups[3] == groups[4] not in groups[:3]
    assert groups[5:] == ["3", "bare"]
    assert (found.grouped_by_prompt, found.ungrouped) == (5, 1)


def test_a_rollout_says_which_field_is_wrong() -> None:
    with pytest.raises(RolloutError, match="rollout 'a': response"):
        Rollout("a", "p", None)  # type: ignore[arg-type]
    with pytest.raises(RolloutError, match="rollout_id"):
        Rollout("", "p", "r")
    with pytest.raises(RolloutError, match=r"documents\.id"):
        Document("", "text")
    assert Rollout("a", "p", "r").group_id == "a"
    assert list(Rollout("a", "p", "r", token_ids=np.array([1, 2])).token_ids) == [1, 2]
