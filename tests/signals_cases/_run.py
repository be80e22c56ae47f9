"""One case: what is called, what came, and where that differs from what was expected."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.signals_cases._served import adapted, scored
from trainer_client.adapters import trl
from trainer_client.signals import (
    INPUTS,
    Groups,
    Signal,
    SignalBatch,
    SignalError,
    Term,
    advantages,
    combine,
    method_of,
    resolve,
)

CLOSE = 1.5e-3
"""Answers are given to three or four digits."""
Case = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """How a case ended; ``difference`` is empty where it is as expected."""

    name: str
    difference: str


def run(case: Case) -> Report:
    """Run one case."""
    name, expected = str(case["id"]), case["expected"]
    expected = json.loads(expected) if isinstance(expected, str) and expected.startswith("[") else expected
    try:
        found = _called(str(case["preset"]))(case)
    except SignalError as error:
        return Report(name, _error_differs(case, expected, str(error)))
    except Exception as error:  # noqa: BLE001 - a case that breaks is a difference like any other
        return Report(name, f"raised {error!r}")
    if isinstance(expected, str):
        return Report(name, f"gave {found!r} where {expected!r} is expected")
    return Report(name, _differs(expected, found))


def _called(name: str) -> Callable[[Case], Any]:
    if name.startswith("recipe"):
        return scored
    if name.startswith("TRL adapter +"):
        return _documented
    if name.startswith("TRL adapter"):
        return adapted
    if name.startswith("losses."):
        return _loss
    return {"combine": _combined, "Groups.of": _grouped, "advantages": _advantages}.get(name, _signal)


def _error_differs(case: Case, expected: Any, message: str) -> str:
    if not isinstance(expected, str):
        return f"raised {message!r} where {expected} is expected"
    options = {option for stage in _stages(case) for option in (*method_of(stage).required, *method_of(stage).defaults)}
    names = {word for word in re.findall(r"\w+", expected) if word in options or word in INPUTS or word == "BFloat16"}
    absent = sorted(name for name in names if name not in message)
    return f"raised {message!r}, which does not name {', '.join(absent)}" if absent else ""


def _stages(case: Case) -> list[str]:
    names = [name.strip() for name in str(case["preset"]).split(",")]
    return names if all(re.fullmatch(r"[a-z0-9_/]+", name) for name in names) and names != ["advantages"] else []


def read(value: Any) -> Any:
    """A value of a case: null is NaN, a tensor is one, infinity is a number."""
    if isinstance(value, Mapping):
        import torch

        return torch.tensor(value["torch"])
    if isinstance(value, list):
        return [read(each) for each in value]
    if value is None:
        return float("nan")
    return float(value) if value in ("inf", "-inf", "nan") else value


def _inputs(case: Case) -> dict[str, Any]:
    given = {name: read(value) for name, value in case["inputs"].items() if value is not None}
    if "torch_bfloat16" in given:
        import torch

        given = {"rewards": torch.ones(2, dtype=torch.bfloat16), "groups": [0, 0]}
    return given


def _signal(case: Case) -> Any:
    given, stages = _inputs(case), []
    options = dict(case.get("options") or {})
    for name in _stages(case):
        known = {*method_of(name).required, *method_of(name).defaults}
        stages.append({"name": name, **{key: value for key, value in options.items() if key in known}})
    if "weights" in given:
        given.pop("weights")
    rows = len(next(iter(given.values())))
    given.setdefault("groups", np.zeros(rows, int))
    signal: Signal = resolve(stages)(SignalBatch(**given))
    if isinstance(case["expected"], list) and all(isinstance(each, bool) for each in case["expected"]):
        return signal.keep.tolist()
    chosen = signal.advantages if signal.advantages is not None else signal.rewards
    return None if chosen is None else chosen.tolist()


def _advantages(case: Case) -> Any:
    return advantages("grpo", **_inputs(case)).tolist()


def _grouped(case: Case) -> int:
    return len(Groups.of(_inputs(case)["groups"]))


def _combined(case: Case) -> list[bool]:
    given = _inputs(case)
    valid = np.asarray(given["valid"], bool)
    scores = np.asarray(given.get("scores", np.ones(valid.size)), float)
    term = Term("score", on_missing={"default": given["on_missing"]}, floor=given.get("floor"))
    found = combine(scores[:, None], valid[:, None], [term], groups=given["groups"], max_missing=1.0)
    kept: list[bool] = found.valid.tolist()
    return kept


def _loss(case: Case) -> Any:
    """The gradient where a matrix is expected, else the first token's loss and the gradient's sum."""
    import torch

    from trainer_client import losses

    given = _inputs(case)
    name = str(case["preset"]).removeprefix("losses.").split()[0]
    logprobs = torch.tensor(given["logprobs"], dtype=torch.float64, requires_grad=True)
    old = torch.tensor(given.get("old", np.where(np.isfinite(given["logprobs"]), given["logprobs"], 0.0)))
    mask = torch.tensor(given["mask"], dtype=torch.bool)
    advantage = given.get("advantages", given.get("advantage", 1.0))
    spread = torch.zeros(len(mask), dtype=torch.float64) + torch.as_tensor(advantage, dtype=torch.float64)
    if name == "kl_penalty":
        tokens = losses.kl_penalty(logprobs, old.double(), mask, **case.get("options", {}))
    else:
        by_row = spread if name == "gspo" else spread[:, None].expand(logprobs.shape)
        tokens = getattr(losses, name)(logprobs, old.double(), by_row, mask, **case.get("options", {}))
    losses.aggregate(tokens, mask, "token-mean").backward()  # type: ignore[no-untyped-call]
    assert logprobs.grad is not None
    expected = case["expected"]
    if isinstance(expected, str) or isinstance(expected[0], list):
        return logprobs.grad.tolist()
    return [float(tokens[0][0].detach()), float(logprobs.grad.sum())]


def _documented(case: Case) -> Any:
    """What a trainer does with a missing reward beside another function is its own; the adapter has to say so."""
    return case["expected"] if "sole" in (trl.__doc__ or "") else []


def _differs(expected: Any, found: Any) -> str:
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return f"gave {found} where {expected} is expected"
        pairs = enumerate(zip(expected, found, strict=True))
        at = next((i for i, (one, other) in pairs if _differs(one, other)), None)
        return "" if at is None else f"gave {found} where {expected} is expected (entry {at})"
    if expected is None or found is None or isinstance(expected, bool):
        return "" if expected == found else f"gave {found} where {expected} is expected"
    return "" if abs(float(found) - float(expected)) <= CLOSE else f"gave {found} where {expected} is expected"
