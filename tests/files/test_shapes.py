"""Rollouts from the files of trainers, evaluators and APIs, written by their own packages.

``inspect.*`` are logs of inspect_ai 0.3.285, ``lm-eval.jsonl`` of lm_eval 0.4.13 with two filters, ``trl.parquet`` of
the trainer of TRL 1.16, ``verl*`` of verl 0.9.1, and the openai lines hold dumps of the types of the package openai.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from trainer_client import RolloutError, read_rollouts

DATA = Path(__file__).parents[1] / "data" / "files"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
TWO, THREE, LM2, LM3 = (
    "What is 2+2?",
    "What is 3+4?",
    "Question: What is 2+2?\nAnswer:",
    "Question: What is 3+4?\nAnswer:",
)

# File, format, and for each rollout: group (by number), response, answer, and text of the prompt.
FILES: list[tuple[str, str, list[tuple[int, str | None, Any, str]]]] = [
    ("verl.parquet", "verl", [(0, "4", "4", TWO), (0, "5", "4", TWO), (1, "so 7", "7", THREE), (1, "7", "7", THREE)]),
    (
        "verl-dump.jsonl",
        "verl",
        [(0, "4", "4", TWO), (0, "5", "4", TWO), (1, "7", "7", THREE), (1, "so 7", "7", THREE)],
    ),
    (
        "trl.parquet",
        "trl",
        [(0, text, "4", "what is 2 + 2 ?") for text in ("33 19 0 39", "24 20 22 35", None, None)],
    ),
    (
        "lm-eval.jsonl",
        "lm-eval",
        [
            (0, "lol", "It is 2+2.\n#### 4", LM2),
            (0, "lol", "It is 2+2.\n#### 4", LM2),
            (1, "lol", "Add.\n#### 7", LM3),
            (1, "lol", "Add.\n#### 7", LM3),
        ],
    ),
    ("openai-chat.jsonl", "openai", [(0, "4", "4", f"Be brief.\n{TWO}")]),
    ("sharegpt.json", "sharegpt", [(0, "4", "4", TWO), (1, "8", "7", "Be brief.\n3+4?")]),
]


def text_of(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(message["content"] for message in prompt)


@pytest.mark.parametrize(("name", "shape", "expected"), FILES, ids=[name for name, _, _ in FILES])
def test_the_files_of_exporters_are_read_as_they_are(
    name: str, shape: str, expected: list[tuple[int, str | None, Any, str]]
) -> None:
    found = read_rollouts(DATA / name)
    assert not found.problems
    assert found.format == shape
    groups = list(dict.fromkeys(rollout.group_id for rollout in found.rollouts))
    for rollout, (group, response, answer, prompt) in zip(found.rollouts, expected, strict=True):
        assert groups.index(rollout.group_id) == group
        assert response is None or rollout.response == response
        assert rollout.reference == {"answer": answer}
        assert text_of(rollout.prompt) == prompt
    assert [one.rollout_id for one in read_rollouts(DATA / name, format=shape).rollouts] == [
        one.rollout_id for one in found.rollouts
    ]


def test_rows_of_a_second_filter_are_left_out_and_counted() -> None:
    assert read_rollouts(DATA / "lm-eval.jsonl").variants == 2


@pytest.mark.parametrize("name", ["inspect.eval", "inspect.json.gz"])
def test_logs_of_inspect(name: str) -> None:
    found = read_rollouts(DATA / name)
    assert not found.problems
    assert found.format == "inspect"
    assert sorted(one.rollout_id for one in found.rollouts) == ["2/1", "2/2", "a/1", "a/2"]
    by_id = {one.rollout_id: one for one in found.rollouts}
    assert by_id["a/1"].group_id == by_id["a/2"].group_id == "a"
    assert by_id["2/1"].reference == {"answer": ["6", "six"]}
    assert (by_id["a/1"].prompt, by_id["a/1"].metadata, by_id["a/1"].finish_reason) == ("2+2?", {"level": 1}, "stop")
    assert {one.response for one in found.rollouts} == {"The answer is 4", "ANSWER: 7", "so 9", "6"}


def test_a_generation_that_failed_is_no_wrong_answer(tmp_path: Path) -> None:
    found = read_rollouts(DATA / "openai-batch-output.jsonl")
    assert [str(problem) for problem in found.problems] == [
        "line 4: rollout 'q-4': response: the request failed: rate limited",
        "line 5: rollout 'q-5': response: the request failed: This request could not be executed before the "
        "completion window expired.",
    ]
    sample = {"id": 1, "epoch": 1, "input": "q", "target": "4", "output": {"completion": "", "choices": []}}
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({**sample, "error": {"message": "no route to host"}}) + "\n")
    assert str(read_rollouts(log).problems[0]) == (
        "line 1: rollout '1/1': response: the sample ended with an error: no route to host"
    )


def test_answers_of_a_batch_are_joined_with_prompts_and_references() -> None:
    columns = {"reference.answer": "answer"}
    found = read_rollouts(DATA / "openai-batch-output.jsonl", columns, join=DATA / "openai-batch-input.jsonl")
    assert found.format == "openai"
    assert [(one.rollout_id, one.response, one.finish_reason, one.reference) for one in found.rollouts] == [
        ("q-1/0", "4", "stop", {"answer": "4"}),
        ("q-1/1", "5", "stop", {"answer": "4"}),
        ("q-2", "7", "stop", {"answer": "7"}),
        ("q-3", "cut", "length", {"answer": "x"}),
    ]
    assert text_of(found.rollouts[0].prompt) == TWO
    assert found.rollouts[0].group_id == found.rollouts[1].group_id != found.rollouts[2].group_id


def test_what_is_joined_must_be_found(tmp_path: Path) -> None:
    answers, gold = tmp_path / "answers.csv", tmp_path / "gold.jsonl"
    answers.write_text("key,response\n1,a\n2,b\n")
    gold.write_text('{"id": 1, "reference": "a"}\n')
    with pytest.raises(
        RolloutError, match=r"no column with an id is in both files.* Columns here: key, response; there: id"
    ):
        read_rollouts(answers, join=gold)
    found = read_rollouts(answers, join=gold, join_on="key=id")
    assert [one.reference for one in found.rollouts] == ["a"]
    assert "gold.jsonl has no row with the id '2'" in str(found.problems[0])
    gold.write_text('{"id": 1, "reference": "a"}\n' * 2)
    with pytest.raises(RolloutError, match="the id '1' occurs twice"):
        read_rollouts(answers, join=gold, join_on="key=id")


def test_a_shape_is_detected_only_where_it_is_unmistakable(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "q", "completion": "a", "answer": "a"}\n')
    assert read_rollouts(path).format == "plain"
    assert "response: is missing" in str(read_rollouts(path).problems[0])
    (rollout,) = read_rollouts(path, format="trl").rollouts
    assert (rollout.response, rollout.reference) == ("a", {"answer": "a"})
    # Who says where the response is has said what the rows are.
    (rollout,) = read_rollouts(DATA / "openai-chat.jsonl", {"response": "messages.2.content"}).rollouts
    assert (rollout.response, rollout.prompt) == ("4", "")
    with pytest.raises(RolloutError, match="'verll' is not one of plain, lm-eval"):
        read_rollouts(path, format="verll")
    path.write_text('{"conversations": 3}\n')
    assert "is not of the shape sharegpt" in str(read_rollouts(path, format="sharegpt").problems[0])


def images_of(content: Any) -> list[str]:
    return [part["image_url"]["url"] for one in content for part in one["content"] if part["type"] == "image_url"]


def test_images_beside_the_file_in_the_row_or_as_bytes(tmp_path: Path) -> None:
    from pyarrow import Table, parquet

    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/a.png").write_bytes(PNG)
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]}]
    linked = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "pics/a.png"}}]}]
    rows: list[dict[str, Any]] = [
        {"response": "r", "prompt": "see <image> there", "images": ["pics/a.png"]},
        {"response": "r", "prompt": chat, "image": URL},
        {"response": "r", "prompt": "What?", "images": [{"path": "pics/a.png"}]},
        {"response": "r", "prompt": linked},
        {"response": "r", "prompt": "plain <image> text", "image": "ubuntu:22.04"},
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_rollouts(path)
    assert not found.problems
    for rollout in found.rollouts[:4]:
        assert images_of(rollout.prompt) == [URL]
    first: Any = found.rollouts[0].prompt
    assert [part["type"] for part in first[0]["content"]] == ["text", "image_url", "text"]
    assert (found.rollouts[4].prompt, found.rollouts[4].extra) == ("plain <image> text", {"image": "ubuntu:22.04"})

    table = tmp_path / "in.parquet"
    parquet.write_table(Table.from_pylist([{"response": "r", "prompt": chat, "images": [{"bytes": PNG}]}]), table)
    (rollout,) = read_rollouts(table).rollouts
    assert images_of(rollout.prompt) == [URL]
    # Elsewhere, when it is said.
    (tmp_path / "rows").mkdir()
    path.rename(tmp_path / "rows/in.jsonl")
    assert len(read_rollouts(tmp_path / "rows/in.jsonl").problems) == 3
    assert not read_rollouts(tmp_path / "rows/in.jsonl", media_root=tmp_path).problems


def test_hostile_images_cost_their_own_row_only(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "text.png").write_text("no image")
    (root / "large.png").write_bytes(PNG + bytes(21 << 20))
    os.mkfifo(root / "pipe.png")
    (root / "folder.png").mkdir()
    images = {
        "../secret.png": "is outside of",
        str(tmp_path / "secret.png"): "is outside of",
        "link.png": "is outside of",
        "text.png": "is not a PNG",
        "large.png": "is larger than 20 MiB",
        "pipe.png": "is not a file",
        "folder.png": "is not a file",
        "absent.png": "cannot be read under",
        "nul\0.png": "is not a path",
        "http://h/a.png": "images are not downloaded",
    }
    path = root / "in.jsonl"
    rows = [{"response": "r", "prompt": "q", "images": [image]} for image in images] + [{"response": "r"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_rollouts(path)
    assert len(found.rollouts) == 1
    for problem, reason in zip(found.problems, images.values(), strict=True):
        assert reason in problem.reason
    many = tmp_path / "many.jsonl"
    many.write_text(json.dumps({"response": "r", "images": [URL] * 65}) + "\n")
    assert "at most 64 are allowed" in read_rollouts(many).problems[0].reason


def test_the_index_that_a_table_was_saved_with_leaves_no_row_out(tmp_path: Path) -> None:
    path = tmp_path / "trl.csv"
    path.write_text(",step,prompt,completion,advantage,answer\n0,1,p,c,0.1,c\n1,1,p,d,0.2,c\n2,1,p,e,0.2,c\n")
    found = read_rollouts(path)
    assert (found.format, found.variants) == ("trl", 0)
    assert [one.response for one in found.rollouts] == ["c", "d", "e"]
