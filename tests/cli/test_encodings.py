"""Texts that the encoding of standard output lacks: a command that has done its work prints them as escapes."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Cli

# Rows that lack references: what is printed names the columns, to say which one may hold them.
LONE = '{"response": "a", "\\ud800x": 1}\n{"response": "b"}\n'
ACCENTED = '{"response": "a", "é": 1}\n'


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(("rows", "name"), [(LONE, "\ud800x"), (ACCENTED, "é")], ids=["lone", "accented"])
def test_json_is_valid_in_any_encoding(cli: Cli, encoding: str, rows: str, name: str) -> None:
    source = cli.write("in.jsonl", rows)
    cli.env["PYTHONIOENCODING"] = encoding
    done = cli.run("score", source, "--verifier", "exact", "--json", code=1, encoding=encoding)
    assert name in json.loads(done.stdout)["reference_remedy"]
    assert "Traceback" not in done.stderr


def test_a_table_and_the_name_of_a_file_are_printed_in_ascii(cli: Cli) -> None:
    source = cli.write("in.jsonl", '{"response": "a", "reference": "a"}\n')
    cli.env["PYTHONIOENCODING"] = "ascii"
    done = cli.run("score", source, "--verifier", "exact", "-o", "é.jsonl")
    assert "written to \\xe9.jsonl" in done.stdout
    assert json.loads((cli.folder / "é.jsonl").read_text())["reward"] == 1.0


def test_an_error_is_json_in_ascii(cli: Cli) -> None:
    cli.env["PYTHONIOENCODING"] = "ascii"
    done = cli.run("score", "é.jsonl", "--verifier", "exact", "--json", code=2)
    assert json.loads(done.stdout)["error"].startswith("é.jsonl: ")


def test_rows_of_a_step_are_json_in_ascii(cli: Cli) -> None:
    source = cli.write("in.jsonl", '{"prompt": "é?", "response": "ja", "reference": "ja"}\n')
    cli.env["PYTHONIOENCODING"] = "ascii"
    done = cli.run("data", "noise", source, "-o", "-")
    assert json.loads(done.stdout.splitlines()[0])["prompt"] == "é?"


def test_a_comparison_is_json_in_ascii(cli: Cli) -> None:
    for name, score in (("one.jsonl", 0.0), ("two.jsonl", 1.0)):
        row = {"rollout_id": "é", "reward": score, "scores.e": score, "codes.e": "ok"}
        cli.write(name, json.dumps(row) + "\n")
    cli.env["PYTHONIOENCODING"] = "ascii"
    done = cli.run("compare", "one.jsonl", "two.jsonl", "--json", code=1)
    assert json.loads(done.stdout)["changes"][0]["rollout_id"] == "é"
