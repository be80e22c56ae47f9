"""The code verifier on a real server: what is wrong with one item is that item's outcome and no other's."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from reward_servers.supervisor import ServerProcess, Supervisor
from tests.engines.code.test_evalplus import GOOD
from tests.engines.code.test_published import MALFORMED, ROWS, wrong_twin
from tests.typed import stub_of
from trainer_client import AsyncRewardClient, Outcome, Recipe, Reward, Rollout, Server
from trainer_client.contract.v1 import reward_service_pb2 as pb

_RECIPE = Recipe((Reward("tests", "code"),), servers=(Server("s", ("code",)),), advantage=None, max_missing=1.0)
_ADD = "```python\ndef add(a, b):\n    return a + b\n```"
_BOTH = "```python\nprint(1)\ndef add(a, b):\n    return a + b\n```"
_CALLS = {"kind": "call", "entry": "add", "cases": [{"args": [1, 2], "returns": 3}]}
_STDIO = [{"stdin": "1\n", "stdout": "1\n"}]
_NUMBERS = "def check(stdin, stdout, expected):\n    return int(stdout) == int(expected)\n"
_BROKEN = "def check(stdin, stdout, expected):\n    return undefined_name\n"

_FAULTS: dict[str, dict[str, Any]] = {
    "unknown language": {"language": "cobol", "tests": _STDIO},
    "missing tests": {"language": "python"},
    "no test": {"tests": []},
    "tests that are no JSON": {"tests": "[{"},
    "a limit above the server's": {"tests": _STDIO, "limits": {"memory_mb": 1 << 20}},
    "a limit of nothing": {"tests": _STDIO, "limits": {"cpu_s": 0}},
    "an unknown limit": {"tests": _STDIO, "limits": {"cpu_seconds": 1}},
    "a misspelt field": {"tests": {"kind": "call", "entry": "add", "case": []}},
    "test code that does not compile": {"tests": {"kind": "assert", "code": "assert ("}},
    "test code that asks for nothing": {"tests": {"kind": "assert", "code": "assert 1 == 1"}},
    "a checker that cannot be loaded": {"tests": _STDIO, "compare": {"kind": "checker", "code": "def check("}},
    "a checker that always raises": {"tests": _STDIO, "compare": {"kind": "checker", "code": _BROKEN}},
    "an unknown comparison": {"tests": _STDIO, "compare": {"kind": "same"}},
}
_VERDICTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "no code block": ("The answer is 3.", {"tests": _CALLS}, "no_code"),
    "empty response": ("", {"tests": _CALLS}, "no_code"),
    "binary source": ("```python\nx = '\x00\x01'\n```", {"tests": _CALLS}, "compile_error"),
    "large program": (f"```python\nx = '{'a' * (3 << 20)}'\n```", {"tests": _CALLS}, "limit"),
    "another language": ("```cpp\nint main(){}\n```", {"tests": _CALLS}, "no_code"),
    "cut off": ("```python\ndef add(a, b):\n    return (a +", {"tests": _CALLS}, "compile_error"),
    "a checker that this answer breaks": (
        "```python\nprint('x')\n```",
        {"tests": _STDIO, "compare": {"kind": "checker", "code": _NUMBERS}},
        "wrong",
    ),
    "right": (_ADD, {"tests": _CALLS}, "accepted"),
}


@pytest.fixture
async def client() -> AsyncIterator[AsyncRewardClient]:
    async with (
        Supervisor([ServerProcess("s", ("code",), workers=2)]) as servers,
        AsyncRewardClient(_RECIPE, servers.endpoints) as opened,
    ):
        yield opened


async def test_bad_items_cost_no_other_item_its_score(client: AsyncRewardClient) -> None:
    faults = [Rollout(name, "", _BOTH, reference=reference) for name, reference in _FAULTS.items()]
    verdicts = [Rollout(name, "", text, reference=given) for name, (text, given, _) in _VERDICTS.items()]
    good = [Rollout(f"good {n}", "", _ADD, reference={"tests": _CALLS}) for n in range(5)]
    table = await client.score([*faults, *verdicts, *good])
    cells = {one.rollout_id: table.cell(row, "tests") for row, one in enumerate([*faults, *verdicts, *good])}
    for name in _FAULTS:
        assert (cells[name].outcome, cells[name].party) == (Outcome.FAULT, "dataset"), (name, cells[name])
        assert cells[name].code == "invalid_reference", name
        assert "reference" in cells[name].message, name
    for name, (_, _, code) in _VERDICTS.items():
        assert cells[name].code == code, (name, cells[name])
        assert cells[name].score == float(code == "accepted"), name
    assert all(cells[one.rollout_id].score == 1.0 for one in good)


async def test_rows_of_collections_as_they_are_shipped(client: AsyncRewardClient) -> None:
    """Right and wrong programs score 1 and 0, and a malformed row is a fault that names its column."""
    rows = {**ROWS, **{f"evalplus {name}": given for name, given in GOOD.items() if name in ("humaneval", "floats")}}
    rollouts = []
    for name, (given, right) in rows.items():
        wrong = right.replace("x >= t", "x > t + 9").replace("fsum", "sqrt")
        for kind, program in (("right", right), ("wrong", wrong_twin(wrong))):
            rollouts.append(Rollout(f"{kind} {name}", "", f"```python\n{program}\n```", reference=given))
    faults = [Rollout(f"malformed {n}", "", _ADD, reference=given) for n, (given, _) in enumerate(MALFORMED)]
    table = await client.score([*rollouts, *faults])
    for row, rollout in enumerate(rollouts):
        cell = table.cell(row, "tests")
        right_one = rollout.rollout_id.startswith("right")
        assert cell.outcome is Outcome.VERDICT, (rollout.rollout_id, cell.message)
        assert cell.score == 1.0 if right_one else (cell.score or 0.0) < 1.0, (rollout.rollout_id, cell)
    for number, (_, field) in enumerate(MALFORMED):
        cell = table.cell(len(rollouts) + number, "tests")
        assert (cell.outcome, cell.party, cell.code) == (Outcome.FAULT, "dataset", "invalid_reference"), cell
        assert f"reference.{field}: " in cell.message, (field, cell.message)


def test_the_first_example_of_the_page(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "verifiers" / "code.md").read_text(encoding="utf-8")
    recipe, rollouts, scored = (tmp_path / name for name in ("recipe.toml", "rollouts.jsonl", "scored.jsonl"))
    for file, fence in ((recipe, "```toml\n"), (rollouts, "````jsonl\n")):
        file.write_text(page.partition(fence)[2].partition("\n```")[0] + "\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "reward_servers",
        "score",
        str(rollouts),
        "--recipe",
        str(recipe),
        "-o",
        str(scored),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    lines = [json.loads(line) for line in scored.read_text(encoding="utf-8").splitlines()]
    assert [line["reward"] for line in lines] == [1.0, 0.5]


async def test_the_summary_says_which_references_raise_errors_of_their_own(client: AsyncRewardClient) -> None:
    checker = {"tests": _STDIO, "compare": {"kind": "checker", "code": _NUMBERS}}
    answers = {
        "breaks": ("print('x')", "print('y')"),
        "sound": ("print(1)", "print(2)"),
        "half": ("print('x')", "print(1)"),
    }
    rollouts = [
        Rollout(f"{group} {n}", "", f"```python\n{code}\n```", reference=checker, group_id=group)
        for group, codes in answers.items()
        for n, code in enumerate(codes)
    ]
    table = await client.score(rollouts)
    assert table.aspect("tests", "rejected_by_error").tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert np.isnan(table.aspect("tests", "no such aspect")).all()
    summary = table.summary()
    assert summary.rewards[0].rejected_by_error == {"breaks": 1.0, "half": 0.5}
    assert "tests rejected by an error of the reference's own code, by group: breaks 100%, half 50%" in str(summary)


async def test_a_program_of_50_megabytes_costs_nobody_else(client: AsyncRewardClient) -> None:
    large = Rollout("large", "", f"```python\nx = '{'a' * (50 << 20)}'\n```", reference={"tests": _CALLS})
    good = [Rollout(f"good {n}", "", _ADD, reference={"tests": _CALLS}) for n in range(3)]
    table = await client.score([large, *good])
    assert [table.cell(row, "tests").score for row in (1, 2, 3)] == [1.0, 1.0, 1.0]
    assert (table.cell(0, "tests").score, table.cell(0, "tests").code) == (0.0, "limit")


async def test_the_server_says_what_bounds_its_programs() -> None:
    async with Supervisor([ServerProcess("s", ("code",), workers=1)]) as servers:
        (address,) = servers.endpoints["s"]
        async with grpc.aio.insecure_channel(address) as channel:
            stub = stub_of(channel)
            info = await stub.GetServerInfo(pb.GetServerInfoRequest())
    facts = {name.rpartition(".")[2]: value for name, value in info.facts.items()}
    assert facts["isolation"] == "ns"
    assert facts["memory_bound"] in ("cgroup_v1", "cgroup_v2", "per_process")
    assert facts["pids_bound"] == "rlimit"
    assert facts["cpu_clock"] in ("cgroup_v1", "cgroup_v2", "proc")
    assert facts["wall_clock"] in ("run_queue", "elapsed")
