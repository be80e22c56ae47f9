"""Random calls of functions, and what the checker of the Berkeley Function-Calling Leaderboard says of them.

``python -m tests.verifiers.bfcl_inputs`` writes its verdicts again where the package ``bfcl-eval`` is installed.
"""

from __future__ import annotations

import json
import random
from importlib import import_module
from typing import Any

from tests.client.conftest import ROOT

RECORDED = ROOT / "tests" / "data" / "agreement" / "bfcl.json"
DRAWN = 1000
Calls = list[dict[str, dict[str, Any]]]

_TEXTS = ["Paris", "paris", "New York", "new-york", "April 1, 2024", "april 1 2024", "it's", 'it"s', ""]
_KINDS = ["string", "integer", "float", "boolean", "array of string", "array of integer", "dict", "array of dict"]


def inputs() -> list[tuple[list[dict[str, Any]], Calls, Calls]]:
    """Descriptions of functions, the calls that were made, and the possible ones."""
    draw = random.Random(7)
    return [_one(draw) for _ in range(DRAWN)]


def _one(draw: random.Random) -> tuple[list[dict[str, Any]], Calls, Calls]:
    descriptions, made, possible = [], [], []
    for number in range(draw.choice([1, 1, 1, 2])):
        name = f"tool_{number}"
        kinds = {argument: draw.choice(_KINDS) for argument in "abc"[: draw.randint(1, 3)]}
        right = {argument: _possible(kind, draw) for argument, kind in kinds.items()}
        given = {argument: _given(kinds[argument], values, draw) for argument, values in right.items()}
        given = {argument: value for argument, value in given.items() if value is not None}
        if draw.random() < 0.05:
            given["other"] = 1
        properties = {argument: _described(kind) for argument, kind in kinds.items()}
        required = [argument for argument, values in right.items() if "" not in values]
        descriptions.append({"name": name, "parameters": {"properties": properties, "required": required}})
        made.append({name if draw.random() < 0.95 else "tool_9": given})
        possible.append({name: right})
    if draw.random() < 0.05:
        made.append({"tool_0": {}})
    draw.shuffle(made)
    return descriptions, made, possible


def _described(kind: str) -> dict[str, Any]:
    outer, _, inner = kind.partition(" of ")
    return {"type": outer, "items": {"type": inner}} if inner else {"type": outer}


def _possible(kind: str, draw: random.Random) -> list[Any]:
    values = [_value(kind, draw) for _ in range(draw.randint(1, 2))]
    if kind == "dict":
        values = [_choices(value, draw) for value in values]
    if kind == "array of dict":
        values = [[_choices(one, draw) for one in value] for value in values]
    return values + ([""] if draw.random() < 0.3 else [])


def _choices(value: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    return {key: [one] + ([""] if draw.random() < 0.3 else []) for key, one in value.items()}


def _given(kind: str, possible: list[Any], draw: random.Random) -> Any:
    if draw.random() < 0.15:
        return None
    if draw.random() < 0.15:
        return _value(draw.choice(_KINDS), draw)
    value = draw.choice([one for one in possible if one != ""] or [_value(kind, draw)])
    return _chosen(value, draw) if kind in ("dict", "array of dict") else value


def _chosen(value: Any, draw: random.Random) -> Any:
    if isinstance(value, list):
        return [_chosen(one, draw) for one in value]
    if draw.random() < 0.2:
        return {**value, "z": 1}
    return {key: one[0] for key, one in value.items() if "" not in one or draw.random() < 0.5}


def _value(kind: str, draw: random.Random) -> Any:
    if kind.startswith("array"):
        return [_value(kind.removeprefix("array of "), draw) for _ in range(draw.randint(1, 2))]
    if kind == "dict":
        return {key: draw.choice([draw.choice(_TEXTS[:-1]), draw.randint(2, 4)]) for key in draw.sample("xy", k=1)}
    if kind == "string":
        return draw.choice(_TEXTS)
    values: dict[str, list[Any]] = {"integer": [2, 3], "float": [0.5, 2.0, 3.25], "boolean": [True, False]}
    return draw.choice(values[kind])


def main() -> None:
    """Write what the leaderboard's checker says."""
    package = "bfcl_eval"
    check = import_module(f"{package}.eval_checker.ast_eval.ast_checker").ast_checker
    python = import_module(f"{package}.constants.enums").Language.PYTHON
    verdicts = []
    for descriptions, made, possible in inputs():
        kind = "parallel" if len(possible) > 1 else "simple"
        verdicts.append(int(check(descriptions, made, possible, python, kind, "any")["valid"]))
    RECORDED.write_text(json.dumps({"package": package, "verdicts": "".join(map(str, verdicts))}) + "\n", "utf-8")


if __name__ == "__main__":
    main()
