"""``assay check``: a verifier against labelled rollouts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._access import (
    Asked,
    Ca,
    Cert,
    Endpoint,
    Json,
    Key,
    Options,
    ServerSettings,
    Token,
    With,
    tls_of,
)
from reward_servers.cli._console import print_json, print_note
from reward_servers.cli._errors import EXIT_NO, UserError
from reward_servers.cli._numbers import number, worker_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reward_servers.cli._scoring import Session
    from trainer_client import TLS, Cell, Recipe, Rollout, RolloutFile, VerifierId

_SERVER = "check"
_DEADLINE = 3600.0
_REWARD = "score"


def check(
    verifier: Asked,
    cases: Annotated[
        Path | None,
        typer.Option(help="Labelled rollouts: `expected.score` is the label. --hacks does with its examples."),
    ] = None,
    endpoint: Endpoint = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    config: ServerSettings = None,
    with_verifiers: With = None,
    options: Options = None,
    workers: Annotated[int | None, worker_count("Worker processes of that server.")] = None,
    fail_under: Annotated[float | None, number("Exit 1 when the share that agrees is less.", least=0, most=1)] = None,
    hacks: Annotated[
        bool, typer.Option("--hacks", help="Try to be paid without an answer instead of comparing labels.")
    ] = False,
    excepted: Annotated[
        list[str] | None, typer.Option("--except", metavar="ATTEMPT", help="An attempt to leave out. Repeatable.")
    ] = None,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show whole evidence and the server's log.")] = False,
) -> int:
    """Compare a verifier's scores with labels.

    A label of 0 or 1 agrees with a score on its side of 0.5; any other label is a score and agrees within 1e-6.
    Rollouts whose label is null are scored and reported, but not counted. Exit code 1 where none has a label.
    """
    from reward_servers.cli._agreement import agreement_of, print_agreement

    options_read = read_options(options)
    if excepted and not hacks:
        raise UserError("--except names an attempt of --hacks; give --hacks too")
    if hacks:
        if endpoint is not None:
            raise UserError("--hacks starts its own server; remove --endpoint")
        return _try_hacks(verifier, cases, options_read, config, with_verifiers or (), excepted or (), as_json)
    if cases is None:
        raise UserError("give the labelled rollouts to compare with: --cases FILE; only --hacks works without them")
    file = _read_cases(cases)
    name, _, version = verifier.partition("@")
    if endpoint is None:
        session = started_server(_SERVER, (name, *(with_verifiers or ())), config, workers, verbose=verbose)
    else:
        session = running_server(_SERVER, endpoint, tls_of(ca, cert, key), token, verbose=verbose)
    cells, identity = asyncio.run(ask(session, file.rollouts, options_read, _line_options(cases), name, version))
    report = agreement_of(cells, identity, file)
    if as_json:
        print_json(report)
    else:
        print_agreement(report, verbose)
    if not report["total"]:
        print_note(f"{cases}: no case has a label in expected.score, so nothing was compared")
        return EXIT_NO
    return EXIT_NO if fail_under is not None and report["agree"] < fail_under * report["total"] else 0


def _try_hacks(
    verifier: str,
    cases: Path | None,
    options: dict[str, Any],
    config: Path | None,
    beside: Sequence[str],
    excepted: Sequence[str],
    as_json: bool,
) -> int:
    from reward_servers.testing import VerifierCheckError, check_hacks

    name = verifier.partition("@")[0]
    left_out = dict.fromkeys(excepted, "--except")
    findings: list[str] = []
    attempts = 0
    try:
        report = check_hacks(name, cases, options=options, config=config, beside=beside, excepted=left_out)
        name, attempts = report.verifier, report.attempts
    except VerifierCheckError as error:
        findings = error.findings
    except ValueError as error:
        raise UserError(str(error)) from None
    if as_json:
        print_json({"verifier": name, "attempts": attempts, "findings": findings})
    elif findings:
        print("\n".join([f"{name}: {len(findings)} attempts are paid, or honest forms are not", *findings]))
    else:
        print(f"{name}: none of {attempts} attempts is paid")
    return EXIT_NO if findings else 0


def _read_cases(cases: Path) -> RolloutFile:
    from trainer_client import read_rollouts

    file = read_rollouts(cases)
    for problem in file.problems:
        print_note(f"{cases}: {problem}")
    if not file.rollouts:
        raise UserError(f"--cases {cases}: no line can be used as a rollout")
    return file


def started_server(
    name: str, hosted: tuple[str, ...], config: Path | None, workers: int | None, *, verbose: bool
) -> Session:
    """A server that is started for this command alone."""
    from reward_servers.cli._fleet import QuietLog
    from reward_servers.cli._scoring import Session
    from reward_servers.supervisor import ServerProcess

    settings = str(config) if config is not None else None
    program = ServerProcess(name, hosted, settings, host="127.0.0.1", port=0, workers=workers, plain=True)
    return Session([program], QuietLog(verbose))


def running_server(name: str, endpoint: str, tls: TLS | None, token: str | None, *, verbose: bool) -> Session:
    """A server that runs already."""
    from reward_servers.cli._fleet import QuietLog
    from reward_servers.cli._scoring import Session

    return Session([], QuietLog(verbose), {name: [endpoint]}, tls, token=token)


def read_options(text: str | None) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"--options: not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UserError("--options: expected a JSON object such as '{\"tolerance\": 0.01}'")
    return values


def _line_options(cases: Path) -> dict[str, dict[str, Any]]:
    """Options of the lines that have some of their own, by the rollout's id."""
    from reward_servers.testing import options_of_lines

    try:
        return options_of_lines(cases)
    except ValueError as error:
        raise UserError(f"--cases {error}") from None


async def ask(
    session: Session,
    rollouts: list[Rollout],
    common: dict[str, Any],
    own: dict[str, dict[str, Any]],
    name: str,
    version: str,
) -> tuple[dict[str, Cell], VerifierId]:
    """Ask a verifier about all rollouts, in one batch for all of the same options.

    Returns:
        What came of each rollout, by its id; which verifier answered.
    """
    from reward_servers.cli._console import progress
    from reward_servers.cli._scoring import score_all
    from trainer_client import VerifierId

    batches: dict[str, list[Rollout]] = {}
    for rollout in rollouts:
        options = {**common, **own.get(rollout.rollout_id, {})}
        batches.setdefault(json.dumps(options, sort_keys=True), []).append(rollout)
    cells: dict[str, Cell] = {}
    async with session:
        if session.supervisor is not None:
            # A verifier given as module:attribute is asked for by the name that it declares.
            name = session.supervisor.verifiers[_SERVER][0]
        identity = VerifierId(name, "", "")
        with progress(len(rollouts), "checking") as advance:
            for options_json, batch in batches.items():
                recipe = _recipe(f"{name}@{version}" if version else name, json.loads(options_json))
                table = await session.run(score_all(await session.client(recipe), batch, advance))
                cells |= {rollout_id: table.cell(row, _REWARD) for row, rollout_id in enumerate(table.rollout_ids)}
                identity = table.versions[0][0] if table.versions[0] else identity
    return cells, identity


def _recipe(verifier: str, options: dict[str, Any]) -> Recipe:
    from trainer_client import Recipe, Reward, Server

    reward = Reward(_REWARD, verifier, options=options, deadline_s=_DEADLINE)
    server = Server(_SERVER, (verifier.partition("@")[0],))
    return Recipe((reward,), name="check", servers=(server,), advantage=None, max_missing=1.0)
