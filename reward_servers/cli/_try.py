"""``assay try``: one response before one verifier, and everything that it says."""

from __future__ import annotations

import asyncio
import json
import sys
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
from reward_servers.cli._check import ask, read_options, running_server, started_server
from reward_servers.cli._console import print_json, printable
from reward_servers.cli._errors import EXIT_NO, UserError

if TYPE_CHECKING:
    from trainer_client import Cell, Rollout, VerifierId

_SERVER = "check"


def try_verifier(
    verifier: Asked,
    response: Annotated[str, typer.Option("--response", help="The response; - reads it from standard input.")],
    reference: Annotated[
        str | None, typer.Option("--reference", help="An answer, or the reference as a JSON object.")
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", help="What was asked.")] = "",
    options: Options = None,
    endpoint: Endpoint = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    config: ServerSettings = None,
    with_verifiers: With = None,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the server's log.")] = False,
) -> int:
    """Ask a verifier about one response: its verdict, what it extracted and compared, and what it cost.

    Exit code 0: there is a score; 1: there is none.
    """
    from trainer_client import Rollout

    text = sys.stdin.read() if response == "-" else response
    rollout = Rollout("try", prompt, text, reference=_reference(reference))
    name, _, version = verifier.partition("@")
    if endpoint is None:
        session = started_server(_SERVER, (name, *(with_verifiers or ())), config, 1, verbose=verbose)
    else:
        session = running_server(_SERVER, endpoint, tls_of(ca, cert, key), token, verbose=verbose)
    cells, identity = asyncio.run(ask(session, [rollout], read_options(options), {}, name, version))
    cell = cells[rollout.rollout_id]
    if as_json:
        print_json(_plain(cell, identity))
    else:
        print("\n".join(printable(line) for line in _lines(cell, identity, rollout)))
    return 0 if cell.score is not None else EXIT_NO


def _reference(text: str | None) -> Any:
    """A JSON object is the reference; anything else is its answer."""
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UserError(f"--reference: it begins like a JSON object, but is not one: {error}") from None
    return {"answer": text}


def _plain(cell: Cell, identity: VerifierId) -> dict[str, Any]:
    plain_fields = {name: getattr(cell, name) for name in cell.__slots__}
    plain_fields |= {"outcome": cell.outcome.name.lower(), "aspects": dict(cell.aspects), "steps": list(cell.steps)}
    return {"verifier": identity.name, "version": identity.version, "digest": identity.digest, **plain_fields}


def _lines(cell: Cell, identity: VerifierId, rollout: Rollout) -> list[str]:
    from reward_servers.cli._view import marked
    from reward_servers.reporting import Cell as SeenCell

    label = f"{identity.name}@{identity.version}" if identity.version else identity.name
    score = "no score" if cell.score is None else f"score {cell.score:.6g}"
    party = f"{cell.party}/" if cell.party else ""
    lines = [f"{score}  {party}{cell.code}  ({label})"]
    lines += [f"  {name:<10} {getattr(cell, name)}" for name in ("note", "message") if getattr(cell, name)]
    response = rollout.response if isinstance(rollout.response, str) else ""
    seen_cell = SeenCell("verdict", cell.score, cell.code, evidence=cell.evidence)
    span = seen_cell.span(response)
    if span is not None:
        lines.append(f"  found at   characters {span[0]} to {span[1]}: {marked(response, span)}")
    lines += [f"  aspect     {name}: {_figure(value)}" for name, value in cell.aspects.items()]
    lines += [f"  step       {json.dumps(dict(step), ensure_ascii=False)}" for step in cell.steps]
    if cell.feedback is not None:
        lines.append(f"  feedback   {_text(cell.feedback)}")
    if cell.evidence is not None:
        lines.append("  evidence")
        entries = cell.evidence.items() if isinstance(cell.evidence, dict) else [("", cell.evidence)]
        lines += [f"    {name}: {_text(value)}" for name, value in entries]
    used = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in cell.usage.items() if value)
    lines.append(f"  took       {cell.run_seconds * 1e3:.1f} ms{f'; {used}' if used else ''}")
    return lines


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
