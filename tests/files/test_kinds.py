"""Rollouts from files of every kind: the same rows give the same rollouts."""

from __future__ import annotations

import gzip
import io
import json
import struct
import sys
import zipfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, feather, ipc, parquet

from trainer_client import RolloutError, read_rollouts
from trainer_client.result.rows import rollout_fields
from trainer_client.rollout.files import read_rows

COLUMNS = {"response": "completion", "reference.answer": "answer", "prompt": "question"}
ROWS = [{"question": f"q{n // 2}", "completion": f"say {n}, “so”\n", "answer": str(n)} for n in range(600)]
TABLE = pa.Table.from_pylist(ROWS)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def save_csv(path: Path) -> None:
    csv.write_csv(TABLE, path)


def csv_bytes() -> bytes:
    out = io.BytesIO()
    csv.write_csv(TABLE, out)
    return out.getvalue()


def save_stream(path: Path) -> None:
    with ipc.new_stream(path, TABLE.schema) as out:
        out.write_table(TABLE, max_chunksize=100)


def save_zstd(path: Path) -> None:
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        out.write(LINES)


KINDS: dict[str, Callable[[Path], object]] = {
    "a.jsonl": lambda path: path.write_bytes(LINES),
    "no_suffix": lambda path: path.write_bytes(b"\xef\xbb\xbf\n" + LINES),
    "a.json": lambda path: path.write_text(json.dumps(ROWS)),
    "indented.json": lambda path: path.write_text(json.dumps(ROWS, indent=2)),
    "wrapped.json": lambda path: path.write_text(json.dumps({"version": 1, "data": ROWS}, indent=2)),
    "several.json": lambda path: path.write_text("\n".join(json.dumps(row, indent=1) for row in ROWS)),
    "a.csv": save_csv,
    "a.parquet": lambda path: parquet.write_table(TABLE, path, row_group_size=150),
    "a.feather": lambda path: feather.write_feather(TABLE, str(path), chunksize=100),
    "a.arrow": save_stream,
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(LINES)),
    "a.jsonl.zst": save_zstd,
    "a.csv.gz": lambda path: path.write_bytes(gzip.compress(csv_bytes())),
    "a.parquet.gz": lambda path: (
        parquet.write_table(TABLE, path),
        path.write_bytes(gzip.compress(path.read_bytes())),
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_same_rollouts(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    KINDS[name](path)
    found = read_rollouts(path, COLUMNS)
    assert not found.problems
    assert [rollout.response for rollout in found.rollouts] == [row["completion"] for row in ROWS]
    assert [rollout.reference for rollout in found.rollouts] == [{"answer": row["answer"]} for row in ROWS]
    assert found.rollouts[0].group_id == found.rollouts[1].group_id != found.rollouts[2].group_id
    assert len({rollout.rollout_id for rollout in found.rollouts}) == len(ROWS)

    class Piped(io.BytesIO):
        def seekable(self) -> bool:
            return False

    # What comes through a pipe has no name and cannot be read twice.
    if not name.endswith(".csv.gz"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Piped(path.read_bytes())))
        assert [rollout.response for rollout in read_rollouts("-", COLUMNS).rollouts] == [
            row["completion"] for row in ROWS
        ]


def test_values_of_tables_are_those_of_json(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"response": "r", "reference": {"answer": Decimal("1.50")}, "score": float("nan"), "tags": ["a", None]}]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    (rollout,) = read_rollouts(path).rollouts
    assert (rollout.rollout_id, rollout.reference) == ("row-1", {"answer": "1.50"})
    assert rollout.extra == {"score": None, "tags": ["a", None]}


def test_cells_of_separated_values(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        'id;response;reference;metadata;expected;group_id\n1;;"1,5";"{""k"": 2}";1;\n2;"a;b";x\n3;c;[1] and more;;;g\n'
    )
    found = read_rollouts(path, {"rollout_id": "id"})
    first, third = found.rollouts
    # An empty completion is an answer, and a wrong one.
    assert (first.rollout_id, first.response, first.reference) == ("1", "", "1,5")
    assert (first.metadata, first.expected, first.group_id) == ({"k": 2}, {"score": 1}, "1")
    assert (third.reference, third.metadata, third.group_id) == ("[1] and more", None, "g")
    assert [str(problem) for problem in found.problems] == ["line 3: has 3 cells where the header has 6"]


def test_quotes_that_are_closed_are_read_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('response,reference\n"a ""q"" b","two\nlines"\nsay "hi",5"\n"",""""\n')
    found = [(one.response, one.reference) for one in read_rollouts(path).rollouts]
    assert found == [('a "q" b', "two\nlines"), ('say "hi"', '5"'), ("", '"')]


def test_a_row_of_several_responses_is_a_group(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    chat = [[{"role": "assistant", "content": text}] for text in "xy"]
    rows: list[dict[str, Any]] = [
        {"rollout_id": 7, "prompt": "p", "response": ["a", "b"], "token_ids": [[1], [2, 3]], "expected": [1, 0]},
        {"response": chat, "reference": "x"},
        {"response": []},
        {"response": ["c", None]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_rollouts(path)
    names = ["7/0", "7/1", "line-2/0", "line-2/1", "line-4/0"]
    assert [rollout.rollout_id for rollout in found.rollouts] == names
    assert [rollout.response for rollout in found.rollouts] == ["a", "b", *chat, "c"]
    assert [list(rollout.token_ids) for rollout in found.rollouts[:2]] == [[1], [2, 3]]
    assert [rollout.expected for rollout in found.rollouts[:2]] == [{"score": 1}, {"score": 0}]
    groups = [rollout.group_id for rollout in found.rollouts]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert [str(problem) for problem in found.problems] == [
        "line 3: rollout 'line-3': response: has no response",
        "line 4: rollout 'line-4/1': response: is missing: null is no answer; write \"\" for an empty one, and "
        "leave out what was never answered",
    ]


def test_folders_shards_and_patterns(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (saved / "state.json").write_text("{}")
    (saved / "dataset_info.json").write_text("{}")
    save_stream(saved / "cache-1.arrow")
    save_stream(saved / "data-00000-of-00001.arrow")
    assert len(read_rollouts(saved, COLUMNS).rollouts) == len(ROWS)

    shards = tmp_path / "shards"
    (shards / "data").mkdir(parents=True)
    (shards / "README.md").write_text("about")
    for number in range(2):
        parquet.write_table(TABLE.slice(300 * number, 300), shards / f"data/train-0000{number}-of-00002.parquet")
    found = read_rollouts(shards, COLUMNS).rollouts
    assert [rollout.response for rollout in found] == [row["completion"] for row in ROWS]
    assert (found[0].rollout_id, found[-1].rollout_id) == ("row-1", "row-600")
    parquet.write_table(TABLE, shards / "data/test-00000-of-00001.parquet")
    with pytest.raises(RolloutError, match=r"several data sets \(test, train\); name one of them, such as .*test\*'"):
        read_rollouts(shards)
    assert len(read_rollouts(shards / "data/train-*", COLUMNS).rollouts) == len(ROWS)

    (saved / "dataset_dict.json").write_text("{}")
    (saved / "train").mkdir()
    with pytest.raises(RolloutError, match=r"has the splits train; name one of them: .*/saved/train"):
        read_rollouts(saved)
    with pytest.raises(RolloutError, match="there is no data file in this folder"):
        read_rollouts(saved / "train")


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("qwen2.5-7b.jsonl", "qwen2.5-72b.jsonl"), "qwen2.5-72b, qwen2.5-7b"),
        (("v1.0.jsonl.gz", "v1.1.jsonl.gz"), r"v1\.0, v1\.1"),
        (("part.0.jsonl", "part.1.jsonl"), ""),
        (("v1.0-0.jsonl", "v1.0-1.jsonl.gz"), ""),
    ],
)
def test_a_dot_in_a_name_begins_no_suffix(tmp_path: Path, names: tuple[str, str], parts: str) -> None:
    for name in names:
        content = f'{{"response": "{name}"}}\n'.encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    if parts:
        with pytest.raises(RolloutError, match=rf"has several data sets \({parts}\); name one of them"):
            read_rollouts(tmp_path)
    else:
        assert [one.response for one in read_rollouts(tmp_path).rollouts] == list(names)


def zipped(name: str, *, flags: int = 0, method: int = 0) -> bytes:
    """A zip file of one entry, whose headers say what they are told to."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "{}")
    content = bytearray(out.getvalue())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(signature) + at
        content[place : place + 4] = flags.to_bytes(2, "little") + method.to_bytes(2, "little")
    return bytes(content)


def two_of_a_name(write: Callable[[pa.Table, io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["response", "response"]), out)
    return out.getvalue()


def write_stream(table: pa.Table, out: io.BytesIO) -> None:
    with ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def write_file(table: pa.Table, out: io.BytesIO) -> None:
    with ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)


DAMAGED: dict[str, tuple[bytes, str]] = {
    "cut.jsonl.gz": (gzip.compress(LINES)[:-900], "damaged or ends early"),
    "cut.parquet": (b"PAR1 and no more", "parquet file is damaged"),
    "cut.arrow": (b"\xff\xff\xff\xff and no more", "Arrow file is damaged"),
    "sheet.xlsx": (zipped("xl/workbook.xml"), "save it as CSV"),
    "cut.eval": (zipped("samples/1_epoch_1.json")[:40], "the log is damaged"),
    "secret.eval": (zipped("samples/1.json", flags=1), "samples/1.json is encrypted; decrypt the log first"),
    "method.eval": (zipped("samples/1.json", method=99), r"samples/1.json is compressed by a method .* \(99\)"),
    "name.eval": (zipped("samples/\xe9.json", flags=1 << 11).replace(b"\xc3\xa9", b"\xff\xfe"), "the log is damaged"),
    "twice.parquet": (two_of_a_name(parquet.write_table), "'response' occurs twice; give each column its own name"),
    "twice.arrow": (two_of_a_name(write_stream), "'response' occurs twice"),
    "twice.feather": (two_of_a_name(write_file), "'response' occurs twice"),
    "latin.csv": ("response\ncaf\xe9\n".encode("latin-1"), "not UTF-8"),
    "twice.csv": (b"response,response\na,b\n", "'response' occurs twice"),
    "open.csv": (
        b'response,reference\n"hello,a\na,a\nb"x",a\n',
        r"the row that begins on line 2 is not separated values \(.* on line 4\); close each quote",
    ),
    "cut.csv": (b'response,reference\na,a\n"hello,a\na,a\n', "the row that begins on line 3 is not separated values"),
    "cut.json": (b'[{"response": "a"}, {"response": "b"}', "ends before its array does"),
    "comma.json": (b'[{"response": "a"} {"response": "b"}]', "expected ',' or ']'"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_an_error_that_says_so(tmp_path: Path, name: str) -> None:
    content, reason = DAMAGED[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RolloutError, match=reason) as caught:
        read_rollouts(path)
    assert name in str(caught.value)


def test_a_broken_element_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"response": "a"}, 3, {"response": "b"}, {"response": NaN}, {"response": "c"}]')
    found = read_rollouts(path)
    assert [rollout.response for rollout in found.rollouts] == ["a", "b", "c"]
    assert [str(problem) for problem in found.problems] == [
        "entry 2: expected an object, found int",
        "entry 4: not JSON: NaN is not a JSON value",
    ]


def test_a_number_without_an_end_costs_no_other_element(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'[{{"response": "a"}}, {{"response": 1{"0" * 5000}, "x": [1, "y"]}}, {{"response": 2}}]')
    found = read_rollouts(path)
    assert [rollout.response for rollout in found.rollouts] == ["a", "2"]
    (problem,) = found.problems
    assert str(problem).startswith("entry 2: not JSON: Exceeds the limit (4300 digits)")


BEYOND: dict[str, tuple[pa.Array, str]] = {
    "a time": (pa.array([1, 10**18, 2], pa.timestamp("us")), "out of range"),
    "a day": (pa.array([1, 10**8, 2], pa.int32()).cast(pa.date32()), "out of range"),
    "a duration": (pa.array([1, 1 << 62, 2], pa.duration("s")), "too large"),
    "a text": (
        pa.Array.from_buffers(
            pa.string(), 3, [None, pa.py_buffer(struct.pack("<4i", 0, 1, 3, 4)), pa.py_buffer(b"a\xff\xfeb")]
        ),
        "'utf-8' codec can't decode",
    ),
}


@pytest.mark.parametrize("kind", BEYOND)
@pytest.mark.parametrize("write", [parquet.write_table, write_stream, write_file])
def test_a_value_that_cannot_be_read_costs_no_other_row(
    tmp_path: Path, kind: str, write: Callable[[pa.Table, Any], object]
) -> None:
    values, reason = BEYOND[kind]
    table = pa.table({"response": ["a", "b", "c"], "made": values})
    path = tmp_path / "a.parquet"
    # The second part is read as if there were no first one.
    with path.open("wb") as out:
        write(pa.concat_tables([table] * 200), out)
    found = read_rollouts(path)
    assert [one.response for one in found.rollouts] == ["a", "c"] * 200
    assert [problem.line for problem in found.problems] == list(range(2, 600, 3))
    assert str(found.problems[0]).startswith("row 2: made: cannot be read (")
    assert reason in found.problems[0].reason


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_value_that_is_nested_deeper_than_can_be_written_costs_no_other_row(tmp_path: Path, name: str) -> None:
    """Python reads some 990 levels, and writes half of them with its own functions."""
    path = tmp_path / name
    cells = [f'{{"x": {"[" * depth}{"]" * depth}}}' for depth in (150, 400, 700, 20)]
    if name == "a.csv":
        path.write_text(
            "response,metadata\n"
            + "".join(f'{n},"{cell.replace(chr(34), chr(34) * 2)}"\n' for n, cell in enumerate(cells))
        )
    else:
        rows = [f'{{"response": "{n}", "metadata": {cell}}}' for n, cell in enumerate(cells)]
        path.write_text(f"[{', '.join(rows)}]" if name == "a.json" else "\n".join(rows))
    found = read_rollouts(path)
    assert [one.response for one in found.rollouts] == ["0", "3"]
    assert [rollout_fields(one)["metadata"]["x"] is not None for one in found.rollouts] == [True, True]
    said = "metadata: expected an object, found str" if name == "a.csv" else "it is nested too deeply"
    assert [said in problem.reason for problem in found.problems] == [True, True]


def test_a_cell_that_is_nested_without_an_end_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"response,metadata\na,{{}}\nb,{'[' * 100_000}\n")
    found = read_rollouts(path)
    assert [one.response for one in found.rollouts] == ["a"]
    (problem,) = map(str, found.problems)
    assert problem == "line 3: rollout 'line-3': metadata: expected an object, found str"


@pytest.mark.parametrize("more", ['{"response": "b', '{"response" "b"}]', "[" * 100_000])
def test_an_array_whose_elements_end_nowhere_is_not_scored_in_part(tmp_path: Path, more: str) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"response": "a"}, ' + more)
    with pytest.raises(RolloutError, match=r"a\.json: entry 2: the file is damaged or cut off there"):
        read_rollouts(path)


def test_a_list_in_an_object_on_a_line_of_its_own_is_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"rows": [{"response": "a"}, {"response": "b"}], "version": 1}) + "\n")
    assert [(one.rollout_id, one.response) for one in read_rollouts(path).rollouts] == [
        ("entry-1", "a"),
        ("entry-2", "b"),
    ]
    path.write_text('{"response": "a", "rows": [{"x": 1}]}\n')
    assert [one.response for one in read_rollouts(path).rollouts] == ["a"]


def test_long_elements_are_read_in_proportion(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"response": "x" * 3_000_000}, {"response": "y"}]))
    assert [len(rollout.response) for rollout in read_rollouts(path).rollouts] == [3_000_000, 1]


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES)
    with pytest.raises(RolloutError, match=r"response=completon: .* did you mean completion\? Columns: question"):
        read_rollouts(path, {"response": "completon"})


def test_rows_are_read_as_they_are_wanted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{broken\n')
    rows = read_rows(path)
    assert next(rows).table == {"a": 1}
    assert next(rows).problem.startswith("not JSON")
