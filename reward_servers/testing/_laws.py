"""What every verifier keeps: its labels, and the laws of all verifiers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reward_servers.core import Verifier
from reward_servers.labels import TOLERANCE, Match, compare, read_labels
from reward_servers.testing._cases import Case, read_cases
from reward_servers.testing._findings import VerifierCheckError, cell_text
from reward_servers.testing._served import CheckServer, ServedVerifier, asked
from trainer_client import Cell, Outcome

_MEGABYTE = 1 << 20
_IN_RANGE = "scores are in the declared range"
_WHOLE = "every verdict has the declared aspects"
_MALFORMED = [["malformed"]]
"""A reference that is neither an object nor an answer, whatever the verifier reads."""

_ODD = {
    "empty": "",
    "blank": " \n\t ",
    "control characters": "\x00\x01\x1b[31m\x7f",
    "half a surrogate pair": "\ud83d 42",
    "right to left": "\u202e24\u202c \u0664\u0662",
    "deep brackets": "(" * 5000 + "1" + ")" * 5000,
    "unclosed tags": "<think>" * 50 + "<answer>\\boxed{",
    "markup": "```python\n```\n```json\n{\n<!-- -->",
    "nul answer": "null",
    "number like": "1e999999 -0 NaN inf 0x",
}
_LARGE = {
    "1 MB of one letter": "a" * _MEGABYTE,
    "1 MB of numbers": "12 " * (_MEGABYTE // 3),
    "1 MB of brackets": "{" * (_MEGABYTE // 2) + "}" * (_MEGABYTE // 2),
    "1 MB of commands": "\\boxed{" * (_MEGABYTE // 7),
    "1 MB of lines": "\n" * _MEGABYTE,
}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked.

    Attributes:
        verifier: ``name@version``.
        digest: Digest of the verifier.
        labelled: Rollouts whose score was compared with a label.
        laws: Laws that were tried.
        cells: What came of each rollout of the file, by its id.
    """

    verifier: str
    digest: str
    labelled: int
    laws: tuple[str, ...]
    cells: Mapping[str, Cell]


@dataclass(slots=True)
class _Check:
    """One check on its way."""

    served: ServedVerifier
    cases: list[Case]
    findings: list[str] = field(default_factory=list)
    laws: list[str] = field(default_factory=list)

    def find(self, law: str, name: str, message: str) -> None:
        self.findings.append(f"{law}: {name}: {message}")

    def names(self, law: str) -> str:
        self.laws.append(law)
        return law


def check_verifier(
    verifier: Verifier | str,
    cases: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    config: str | os.PathLike[str] | None = None,
    beside: Sequence[str] = (),
    timeout_s: float = 60.0,
    server: CheckServer | None = None,
) -> CheckReport:
    """Check that a verifier agrees with labelled rollouts and keeps the laws of all verifiers.

    The laws: every response gets a verdict, within the declared range and with the declared aspects, odd ones and 1 MB
    included, in time; the same item gets the same verdict, unless the verifier says that it is not deterministic; a
    malformed reference is a fault of the data set; the order of a batch changes nothing.

    Args:
        verifier: What ``@verifier`` made, its name, or ``module:attribute``.
        cases: A rollout file. ``expected`` holds the label: a ``score``, and a ``code`` and ``aspects`` where those
            matter. A line may have ``options`` of its own.
        options: Options of the verifier for all lines; those of a line come on top.
        config: Settings file of the server.
        beside: Other verifiers to host, for one that asks them.
        timeout_s: Seconds in which an item has to be judged.
        server: One that hosts the verifier, from ``serve``; None starts one for this check.

    Returns:
        What was checked.

    Raises:
        VerifierCheckError: With everything that was found.
        ServerRefusedError: The verifier cannot be served, with the reason.
        ValueError: The file holds no rollout that can be used, or the given server does not host the verifier.
    """
    all_cases = read_cases(cases)
    with asked(verifier, options, config, beside, timeout_s, server) as served:
        check = _Check(served, all_cases)
        cells = served.ask(all_cases)
        labelled = _compare_with_labels(check, cells)
        _check_order(check, cells)
        if served.info.is_deterministic:
            _check_repetition(check, cells)
        sound = _sound(check, cells)
        if sound:
            _check_responses(check, sound, _ODD, "every response gets a verdict")
            _check_responses(check, sound, _LARGE, "1 MB is judged in time")
            if served.info.reference_schema is not None:
                _check_references(check, sound)
        else:
            check.find("every response gets a verdict", "all rollouts of the file", "none has one, so no law was tried")
        identity = served.id
    if check.findings:
        raise VerifierCheckError(identity.name, check.findings)
    return CheckReport(f"{identity.name}@{identity.version}", identity.digest, labelled, tuple(check.laws), cells)


def _compare_with_labels(check: _Check, cells: Mapping[str, Cell]) -> int:
    law = check.names("agrees with its labels")
    check.names(_IN_RANGE)
    check.names(_WHOLE)
    labels = read_labels(case.rollout for case in check.cases)
    for problem in labels.problems:
        check.findings.append(f"{law}: {problem}")
    for case in check.cases:
        cell = cells[case.name]
        expected = case.rollout.expected or {}
        label = labels.scores.get(case.name)
        if label is not None and compare(cell.score, label) is not Match.AGREE:
            check.find(law, case.name, f"label {label:g}, {cell_text(cell)}")
        elif expected.get("code") not in (None, cell.code):
            check.find(law, case.name, f"expected code {expected['code']}, {cell_text(cell)}")
        else:
            _compare_aspects(check, law, case.name, expected.get("aspects") or {}, cell)
        if cell.code == "invalid_score":
            check.find(_IN_RANGE, case.name, cell_text(cell))
        _check_whole(check, case.name, cell)
    if not labels.scores:
        check.find(law, "all rollouts of the file", 'none has a label; add "expected": {"score": 1.0}')
    return len(labels.scores)


def _compare_aspects(check: _Check, law: str, name: str, expected: Mapping[str, Any], cell: Cell) -> None:
    for aspect, value in expected.items():
        part = dict(cell.aspects).get(aspect)
        is_same = part is None if value is None else part is not None and abs(part - value) <= TOLERANCE
        if not is_same:
            check.find(law, name, f"aspect {aspect}: label {value}, found {part}")


def _check_whole(check: _Check, name: str, cell: Cell) -> None:
    """Find a verdict without an aspect: a method that reads it would leave out whoever gave nothing to judge."""
    if cell.outcome is not Outcome.VERDICT:
        return
    if missing := [aspect for aspect in check.served.id.aspects if aspect not in cell.aspects]:
        remedy = f'declare what the floor carries: aspects={{"{missing[0]}": 0.0}}'
        check.find(_WHOLE, name, f"{cell_text(cell)} lacks {', '.join(missing)}; {remedy}")


def _check_repetition(check: _Check, cells: Mapping[str, Cell]) -> None:
    law = check.names("the same item gets the same verdict")
    _compare(check, law, cells, check.served.ask(check.cases))


def _check_order(check: _Check, cells: Mapping[str, Cell]) -> None:
    """Turn the batch round: whole groups for a verifier of groups, since who stands first may matter to it."""
    if not check.served.info.is_deterministic:
        return
    law = check.names("the order of a batch changes nothing")
    if check.served.info.judges_groups:
        names = list(dict.fromkeys(case.rollout.group_id for case in check.cases))
        turned = [case for name in reversed(names) for case in check.cases if case.rollout.group_id == name]
    else:
        turned = check.cases[::-1]
    _compare(check, law, cells, check.served.ask(turned))


def _compare(check: _Check, law: str, first: Mapping[str, Cell], second: Mapping[str, Cell]) -> None:
    for name, first_cell in first.items():
        second_cell = second[name]
        same_score = first_cell.score == second_cell.score or (first_cell.score is None and second_cell.score is None)
        if not same_score or first_cell.code != second_cell.code:
            check.find(law, name, f"{cell_text(first_cell)}, then {cell_text(second_cell)}")


def _sound(check: _Check, cells: Mapping[str, Cell]) -> list[Case]:
    """A group with a verdict, to put other responses into."""
    for case in check.cases:
        if cells[case.name].outcome is Outcome.VERDICT:
            group = case.rollout.group_id
            return [case, *(c for c in check.cases if c.rollout.group_id == group and c is not case)]
    return []


def _variants(check: _Check, sound: Sequence[Case], changes: Mapping[str, Mapping[str, Any]]) -> list[Case]:
    """For each change the first rollout with it, among copies of its siblings where groups are judged."""
    members = sound if check.served.info.judges_groups else sound[:1]
    variants = []
    for name, change in changes.items():
        for place, case in enumerate(members):
            altered = change if place == 0 or "reference" in change else {}
            rollout_id = name if place == 0 else f"{name}, sibling {place}"
            variants.append(case.altered(rollout_id, group_id=name, **altered))
    return variants


def _check_responses(check: _Check, sound: Sequence[Case], texts: Mapping[str, str], law: str) -> None:
    check.names(law)
    variants = _variants(check, sound, {name: {"response": text} for name, text in texts.items()})
    for name, cell in check.served.ask(variants).items():
        _check_whole(check, name, cell)
        if cell.code == "invalid_score":
            check.find(_IN_RANGE, name, cell_text(cell))
        elif cell.outcome is not Outcome.VERDICT and cell.party != "upstream":
            check.find(law, name, cell_text(cell))


def _check_references(check: _Check, sound: Sequence[Case]) -> None:
    law = check.names("a malformed reference is a fault of the data set")
    changes: dict[str, dict[str, Any]] = {
        "malformed reference": {"reference": _MALFORMED},
        "no reference": {"reference": None},
    }
    for name, cell in check.served.ask(_variants(check, sound, changes)).items():
        optional = name.startswith("no reference") and cell.outcome is Outcome.VERDICT
        if not optional and (cell.outcome is not Outcome.FAULT or cell.party != "dataset"):
            check.find(law, name, cell_text(cell))
