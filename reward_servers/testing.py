"""Checks of a verifier, for its own tests.

    from reward_servers.testing import check_verifier

    def test_exact() -> None:
        check_verifier(exact, "cases.jsonl")

The verifier is served as it will be, in a process of its own with its limits, and asked over gRPC: first about labelled
rollouts, then about what every verifier has to bear.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reward_servers.core import Verifier
from reward_servers.labels import Match, compare, read_labels
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess
from trainer_client import (
    Cell,
    Outcome,
    Recipe,
    Reward,
    RewardClient,
    Rollout,
    ScoreTable,
    Server,
    VerifierInfo,
    read_rollouts,
)

__all__ = ["CheckReport", "VerifierCheckError", "check_verifier"]

_SERVER = "checked"
_REWARD = "score"
_MEGABYTE = 1 << 20
_SHOWN = 20
_IN_RANGE = "scores are in the declared range"
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


class VerifierCheckError(AssertionError):
    """A verifier breaks a law or disagrees with labels.

    Attributes:
        findings: What was found, one line each: the law, the rollout, what came of it.
    """

    def __init__(self, verifier: str, findings: Sequence[str]) -> None:
        super().__init__(verifier, list(findings))
        self.verifier = verifier
        self.findings = list(findings)

    def __str__(self) -> str:
        shown = [f"  {finding}" for finding in self.findings[:_SHOWN]]
        more = [f"  ... and {len(self.findings) - _SHOWN} more"] if len(self.findings) > _SHOWN else []
        return "\n".join([f"{self.verifier}: {len(self.findings)} findings", *shown, *more])


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was checked.

    Attributes:
        verifier: ``name@version``.
        digest: Digest of the verifier.
        labelled: Rollouts whose score was compared with a label.
        laws: Laws that were tried.
        table: Scores of the file.
    """

    verifier: str
    digest: str
    labelled: int
    laws: tuple[str, ...]
    table: ScoreTable


@dataclass(slots=True)
class _Check:
    """One check on its way."""

    info: VerifierInfo
    rollouts: list[Rollout]
    score: Callable[[Sequence[Rollout]], ScoreTable]
    findings: list[str] = field(default_factory=list)
    laws: list[str] = field(default_factory=list)

    def find(self, law: str, name: str, what: str) -> None:
        self.findings.append(f"{law}: {name}: {what}")

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
) -> CheckReport:
    """Checks that a verifier agrees with labelled rollouts and keeps the laws of all verifiers.

    The laws: every response gets a verdict, within the declared range, odd ones and 1 MB included, in time; the same
    item gets the same verdict, unless the verifier says that it is not deterministic; a malformed reference is a fault
    of the data set; the order of a batch changes nothing.

    Args:
        verifier: What ``@verifier`` made, its name, or ``module:attribute``.
        cases: A rollout file. ``expected`` holds the label: a ``score``, and a ``code`` where that matters.
        options: Options of the verifier.
        config: Settings file of the server.
        beside: Other verifiers to host, for one that asks them.
        timeout_s: Seconds in which an item has to be judged.

    Returns:
        What was checked.

    Raises:
        VerifierCheckError: With everything that was found.
        ServerRefusedError: The verifier cannot be served, with the reason.
        ValueError: The file holds no rollout that can be used.
    """
    rollouts = _read(cases)
    # By name it is not imported here: what it needs may be hidden by the folder that the test runs in.
    hosted = (verifier.path if isinstance(verifier, Verifier) else verifier, *beside)
    settings = str(config) if config is not None else None
    # The folders of this process, so that what a test can import its server can. No cache: it would answer for itself.
    program = ServerProcess(
        _SERVER, hosted, settings, "127.0.0.1", 0, 1, plain=True, import_path=_folders(), cache_bytes=0
    )
    with ServerThread([program]) as servers, _client_of(servers, options, timeout_s) as client:
        check = _Check(client.describe()[_REWARD], rollouts, client.score)
        table = client.score(rollouts)
        labelled = _compare_with_labels(check, table)
        _check_order(check, table)
        if check.info.is_deterministic:
            _check_repetition(check, table)
        sound = _sound(table, rollouts)
        if sound:
            _check_responses(check, sound, _ODD, "every response gets a verdict")
            _check_responses(check, sound, _LARGE, "1 MB is judged in time")
            if check.info.reference_schema is not None:
                _check_references(check, sound)
        else:
            check.find("every response gets a verdict", "all rollouts of the file", "none has one, so no law was tried")
    if check.findings:
        raise VerifierCheckError(check.info.id.name, check.findings)
    identity = table.versions[0][0]
    return CheckReport(f"{identity.name}@{identity.version}", identity.digest, labelled, tuple(check.laws), table)


def _client_of(servers: ServerThread, options: Mapping[str, Any] | None, timeout_s: float) -> RewardClient:
    name = servers.verifiers[_SERVER][0]
    reward = Reward(_REWARD, name, options=dict(options or {}), deadline=timeout_s)
    recipe = Recipe((reward,), "check", (Server(_SERVER, (name,)),), advantage=None, max_missing=1.0)
    return RewardClient(recipe, servers.endpoints)


def _folders() -> tuple[str, ...]:
    return tuple(os.path.abspath(folder) for folder in sys.path if folder == "" or Path(folder).is_dir())


def _read(cases: str | os.PathLike[str]) -> list[Rollout]:
    found = read_rollouts(cases)
    if found.problems:
        raise ValueError(f"{os.fspath(cases)}: {'; '.join(map(str, found.problems[:_SHOWN]))}")
    if not found.rollouts:
        raise ValueError(f"{os.fspath(cases)}: no rollouts; write one JSON object a line, with expected.score")
    return found.rollouts


def _compare_with_labels(check: _Check, table: ScoreTable) -> int:
    law = check.names("agrees with its labels")
    check.names(_IN_RANGE)
    labels = read_labels(check.rollouts)
    for problem in labels.problems:
        check.findings.append(f"{law}: {problem}")
    for row, rollout in enumerate(check.rollouts):
        cell = table.cell(row, _REWARD)
        code = (rollout.expected or {}).get("code")
        label = labels.scores.get(rollout.rollout_id)
        if label is not None and compare(cell.score, label) is not Match.AGREE:
            check.find(law, rollout.rollout_id, f"label {label:g}, {_told(cell)}")
        elif code is not None and cell.code != code:
            check.find(law, rollout.rollout_id, f"expected code {code}, {_told(cell)}")
        if cell.code == "invalid_score":
            check.find(_IN_RANGE, rollout.rollout_id, _told(cell))
    if not labels.scores:
        check.find(law, "all rollouts of the file", 'none has a label; add "expected": {"score": 1.0}')
    return len(labels.scores)


def _check_repetition(check: _Check, table: ScoreTable) -> None:
    law = check.names("the same item gets the same verdict")
    _compare(check, law, table, check.score(check.rollouts))


def _check_order(check: _Check, table: ScoreTable) -> None:
    """Turns the batch round: whole groups for a verifier of groups, since who stands first may matter to it."""
    if not check.info.is_deterministic:
        return
    law = check.names("the order of a batch changes nothing")
    if check.info.judges_groups:
        names = list(dict.fromkeys(rollout.group_id for rollout in check.rollouts))
        turned = [rollout for name in reversed(names) for rollout in check.rollouts if rollout.group_id == name]
    else:
        turned = check.rollouts[::-1]
    _compare(check, law, table, check.score(turned))


def _compare(check: _Check, law: str, first: ScoreTable, second: ScoreTable) -> None:
    row_of = {name: row for row, name in enumerate(second.rollout_ids)}
    for row, name in enumerate(first.rollout_ids):
        one, other = first.cell(row, _REWARD), second.cell(row_of[name], _REWARD)
        same = one.score == other.score or (one.score is None and other.score is None)
        if not same or one.code != other.code:
            check.find(law, name, f"{_told(one)}, then {_told(other)}")


def _sound(table: ScoreTable, rollouts: Sequence[Rollout]) -> list[Rollout]:
    """A group with a verdict, to put other responses into."""
    for row, rollout in enumerate(rollouts):
        if table.outcomes[row, 0] == Outcome.VERDICT:
            return [rollout, *(one for one in rollouts if one.group_id == rollout.group_id and one is not rollout)]
    return []


def _variants(check: _Check, sound: Sequence[Rollout], changes: Mapping[str, Mapping[str, Any]]) -> list[Rollout]:
    """For each change the first rollout with it, among copies of its siblings where groups are judged."""
    members = sound if check.info.judges_groups else sound[:1]
    made = []
    for name, change in changes.items():
        for place, rollout in enumerate(members):
            given = change if place == 0 or "reference" in change else {}
            rollout_id = name if place == 0 else f"{name}, sibling {place}"
            made.append(replace(rollout, rollout_id=rollout_id, group_id=name, token_ids=(), **given))
    return made


def _check_responses(check: _Check, sound: Sequence[Rollout], texts: Mapping[str, str], law: str) -> None:
    check.names(law)
    variants = _variants(check, sound, {name: {"response": text} for name, text in texts.items()})
    table = check.score(variants)
    for row, name in enumerate(table.rollout_ids):
        cell = table.cell(row, _REWARD)
        if cell.code == "invalid_score":
            check.find(_IN_RANGE, name, _told(cell))
        elif cell.outcome is not Outcome.VERDICT and cell.party != "upstream":
            check.find(law, name, _told(cell))


def _check_references(check: _Check, sound: Sequence[Rollout]) -> None:
    law = check.names("a malformed reference is a fault of the data set")
    changes: dict[str, dict[str, Any]] = {
        "malformed reference": {"reference": _MALFORMED},
        "no reference": {"reference": None},
    }
    table = check.score(_variants(check, sound, changes))
    for row, name in enumerate(table.rollout_ids):
        cell = table.cell(row, _REWARD)
        optional = name.startswith("no reference") and cell.outcome is Outcome.VERDICT
        if not optional and (cell.outcome is not Outcome.FAULT or cell.party != "dataset"):
            check.find(law, name, _told(cell))


def _told(cell: Cell) -> str:
    if cell.score is not None:
        return f"score {cell.score:g} ({cell.code})"
    party = f" of the {cell.party}" if cell.party else ""
    return f"no score: {cell.outcome.name.lower()}{party}: {cell.code}: {cell.message}"
