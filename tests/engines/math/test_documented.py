"""The page of the verifier: each row of its tables is what the engine does."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reward_servers.engines.math import DEFAULT, PROFILES, Policy, judge
from reward_servers.verifiers.math import Answer, MathOptions

PAGE = (Path(__file__).parents[3] / "docs" / "verifiers" / "math.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(?P<name>\w+) = (?P<value>[^`]+)` \| `(?P<gold>[^|]+)` \| `(?P<answer>[^|]+)` \| (\w+) \| (\w+) \|$", re.M
)
ROWS = [m.groups() for m in ROW.finditer(PAGE)]


def policy(name: str, value: str) -> Policy:
    if name == "profile":
        return PROFILES[value.strip('"')]
    read: Any = {"true": True, "false": False}.get(value)
    if read is None:
        read = value.strip('"') if value.startswith('"') else float(value)
    return replace(DEFAULT, **{name: read})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}={row[1]}")
def test_each_option_does_what_its_row_says(row: tuple[str, ...]) -> None:
    name, value, gold, answer, without, with_it = row
    response = f"\\boxed{{{answer}}}"
    assert judge(response, gold).correct is (without == "accepted")
    assert judge(response, gold, policy(name, value)).correct is (with_it == "accepted")


def test_every_option_and_field_has_its_row() -> None:
    assert {row[0] for row in ROWS} == set(MathOptions.model_fields)
    for field in Answer.model_fields:
        assert f"| `{field}` |" in PAGE
