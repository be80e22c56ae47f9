"""Every method from a recipe and a rollout file through ``assay score``, beside the call in Python."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reward_servers.cli import run
from tests.cli.conftest import COMMAND, PATIENCE, Cli, read_line
from tests.signals.laws import LAWS, draw_inputs, make, rows_of
from trainer_client.result.rows import plain
from trainer_client.signals import INPUTS, Signal, SignalBatch, method_of

STEP = 7
SERVED = {None: "probe/given", (0.0, 1.0): "probe/share", (0.0, float("inf")): "probe/gain"}
"""By the rewards that a method is made for, the verifier that gives no others."""
OF_TABLE = ("valid", "rewards", "groups", "components", "components_valid")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, site: Path) -> Iterator[Path]:
    """A server of given numbers, and the file that says where it is."""
    folder = tmp_path_factory.mktemp("served")
    command = Cli(folder, site)
    # What it logs goes to a file: a pipe that is not read would stop it when it is full.
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "serve", *SERVED.values(), "--workers", "1"],
            cwd=folder, env=command.env, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    address = read_line(process.stdout).split()[2]
    (folder / "endpoints.json").write_text(json.dumps({name: [address] for name in SERVED.values()}))
    yield folder / "endpoints.json"
    process.terminate()
    process.communicate(timeout=PATIENCE)


def drawn(name: str, seed: int) -> dict[str, Any]:
    """A batch of the method with its groups in sequence; every other one says by lengths which tokens count."""
    inputs: dict[str, Any] = {"valid": np.zeros(0)}
    while inputs["valid"].sum() < 2:
        inputs = draw_inputs(name, LAWS[name], seed)
        seed += 2
    if "mask" in inputs and seed % 4 < 2 and "mask" not in LAWS[name].inputs:
        inputs["lengths"] = inputs.pop("mask").sum(1)
    if "rewards" in method_of(name).reads:
        # A recipe always has a reward.
        inputs.setdefault("rewards", np.zeros(len(inputs["valid"])))
    if "groups" in inputs:
        inputs = rows_of(inputs, np.argsort(inputs["groups"], kind="stable"))
        inputs["groups"] = np.array([f"g{label}" for label in inputs["groups"].tolist()])
    return inputs


def recipe_of(name: str, inputs: Mapping[str, Any]) -> str:
    """The recipe whose sources give these inputs."""
    laws = LAWS[name]
    setting = {"name": name, **laws.options}
    if laws.scale == "invariant" and "eps" in method_of(name).defaults:
        setting["eps"] = 0.0
    options = ", ".join(f"{key} = {json.dumps(value)}" for key, value in setting.items())
    columns = [f"c{k}" for k in range(inputs["components"].shape[1])] if "components" in inputs else []
    lines = [f"advantage = {{ {options} }}", "max_missing = 1.0", "[inputs]"]
    if columns:
        lines += [f"components = {json.dumps(columns)}", 'rewards = "total"' if "rewards" in inputs else ""]
    lines += [f"{key} = {source!r}" for key in inputs if (source := source_of(key))]
    served = f'verifier = "{SERVED[method_of(name).within]}"'
    lines += ["[rewards.total]", served, 'options = { key = "total" }']
    for column in columns:
        lines += [f"[rewards.{column}]", served, f'options = {{ key = "{column}" }}']
        lines += ["required = false"]
    return "\n".join(lines) + "\n"


def source_of(name: str) -> str:
    """Where the file has an input; empty where the recipe finds it by itself."""
    if name in OF_TABLE or name in ("lengths", "texts", "token_ids"):
        return ""
    return f"metadata.{name}" if INPUTS[name].axes == "N" else f"extra.{name}"


def write_rollouts(folder: Path, inputs: Mapping[str, Any], *, in_arrays: bool) -> None:
    """The rollouts; what has several numbers a rollout is in their lines, or in arrays beside the file."""
    rows = len(inputs["valid"])
    arrays: dict[str, Any] = {}
    lines: list[dict[str, Any]] = [{} for _ in range(rows)]
    for row, line in enumerate(lines):
        there = bool(inputs["valid"][row])
        metadata = {"total": (float(inputs["rewards"][row]) if "rewards" in inputs else 0.0) if there else None}
        for k in range(inputs["components"].shape[1] if "components" in inputs else 0):
            known = "components_valid" not in inputs or bool(inputs["components_valid"][row, k])
            metadata[f"c{k}"] = float(inputs["components"][row, k]) if known else None
        line |= {"rollout_id": f"r{row}", "prompt": "q", "response": "a", "metadata": metadata}
        line["group_id"] = str(inputs["groups"][row]) if "groups" in inputs else f"r{row}"
    for name, value in inputs.items():
        if name in OF_TABLE:
            continue
        if INPUTS[name].axes not in ("N", "NN") and name != "token_ids" and in_arrays:
            arrays[name] = value
        for row, line in enumerate(lines):
            if name == "lengths" and "token_ids" in inputs:
                continue
            if name == "lengths":
                line["token_ids"] = list(range(int(value[row])))
                line["response"] = line["response"] if value[row] else ""
            elif name == "texts":
                line["response"] = value[row]
            elif INPUTS[name].axes == "N":
                line["metadata"][name] = plain(value[row])
            elif INPUTS[name].axes == "NN":
                line[name] = {f"r{other}": float(value[row, other]) for other in range(rows)}
            elif name not in arrays:
                counted = INPUTS[name].axes == "NT" and "lengths" in inputs
                line[name] = plain(value[row][: inputs["lengths"][row]] if counted else value[row])
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if arrays:
        np.savez(folder / "in.npz", **arrays)


def assert_same(signal: Signal, folder: Path, groups: list[str]) -> None:
    """What the command wrote is what the call gave."""
    lines = [json.loads(line) for line in (folder / "out" / "rollouts.jsonl").read_text().splitlines()]
    fields = {
        "advantage": signal.advantages, "shaped_reward": signal.rewards, "weight": signal.weights, "keep": signal.keep,
        "token_advantages": signal.token_advantages, "token_weights": signal.token_weights,
        "feature_advantages": signal.feature_advantages, "returns": signal.returns, "budget": signal.budget,
        "copies": signal.copies,
    }  # fmt: skip
    for name, expected in fields.items():
        for row, line in enumerate(lines):
            found = line.get(name)
            if expected is None:
                assert found is None, name
            else:
                width = len(found) if isinstance(found, list) else 0
                wanted = np.asarray(expected[row], float)
                got = np.asarray(0.0 if found is None else found, float)
                np.testing.assert_allclose(
                    got, wanted[:width] if width else wanted, rtol=1e-9, atol=1e-12, err_msg=name
                )
                assert not width or not wanted[width:].any(), name
    ids = [f"r{row}" for row in range(len(lines))]
    pairs = None if signal.pairs is None else [
        (ids[p.chosen], ids[p.rejected], plain(p.margin), plain(p.weight), plain(p.label)) for p in signal.pairs
    ]  # fmt: skip
    assert read(folder, "pairs", "chosen_id", "rejected_id", "margin", "weight", "label") == pairs
    requests = None if signal.requests is None else [
        (ids[r.row], groups[r.row], r.kind, {k: ids[v] if k in ("replaces", "wrong_row") and v is not None else plain(v)
         for k, v in r.details.items()}) for r in signal.requests
    ]  # fmt: skip
    assert read(folder, "requests", "rollout_id", "group_id", "kind", "details") == requests
    report = json.loads((folder / "out" / "report.json").read_text())["report"]
    assert report == json.loads(json.dumps(plain(dict(signal.report))))


def read(folder: Path, name: str, *keys: str) -> list[Any] | None:
    path = folder / "out" / f"{name}.jsonl"
    if not path.exists():
        return None
    return [tuple(json.loads(line)[key] for key in keys) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("seed", [11, 14])
@pytest.mark.parametrize("name", LAWS)
def test_a_recipe_and_a_file_give_what_the_call_gives(
    name: str, seed: int, served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = drawn(name, seed)
    (tmp_path / "r.toml").write_text(recipe_of(name, inputs))
    write_rollouts(tmp_path, inputs, in_arrays=bool(seed % 2))
    code = run(
        ["score", f"{tmp_path}/in.jsonl", "-r", f"{tmp_path}/r.toml", "-o", f"{tmp_path}/out/", "--step", str(STEP),
         "--endpoints-file", str(served)]
    )  # fmt: skip
    said = capsys.readouterr()
    assert code == 0, f"{said.out}\n{said.err}"
    rows = len(inputs["valid"])
    groups = [str(g) for g in inputs["groups"]] if "groups" in inputs else [f"r{row}" for row in range(rows)]
    signal = make(name, LAWS[name])(SignalBatch(step=STEP, **{"groups": groups, **inputs}))
    assert_same(signal, tmp_path, groups)
