"""``assay gateway``: a recipe's rewards over HTTP."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli import _options
from reward_servers.cli._access import Ca, Cert, Key, Token, tls_of
from reward_servers.cli._console import print_note
from reward_servers.cli._inputs import load_recipe
from reward_servers.cli._loop import run_on_loop

if TYPE_CHECKING:
    from reward_servers.cli._scoring import Session
    from reward_servers.gateway import GatewayConfig
    from trainer_client import Recipe


def gateway(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (TOML).")],
    config: Annotated[Path | None, typer.Option(help="Settings file of the gateway (TOML).")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless the settings say.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 8080 unless said, 0 for any free one.", min=0)] = None,
    on_missing: Annotated[
        str | None,
        typer.Option(
            metavar="error|null|NUMBER", help="What a rollout without a reward becomes; an error unless said."
        ),
    ] = None,
    run_code: Annotated[
        int | None, typer.Option("--run-code", metavar="SLOTS", help="Sandboxes that serve /run_code.", min=0)
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve in plain text on an address that others can reach.")
    ] = False,
    endpoints_file: Annotated[Path | None, typer.Option(help="Where the servers are, as `assay up` writes it.")] = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    workers: _options.Workers = None,
) -> int:
    """Serve a recipe over HTTP, for trainers that ask by HTTP: OpenRLHF, slime, NeMo Gym, UniRL and any other.

    Servers that neither the recipe nor --endpoints-file gives an address for are started, and stopped at the end. One
    of the others that does not answer yet is awaited: its rewards are missing meanwhile, and URL/ready names it. One
    line `listening on URL` on stdout says that the gateway answers; URL/docs describes it.
    """
    from reward_servers.cli._scoring import session_of
    from reward_servers.gateway import check_address, load_gateway_config

    settings = load_gateway_config(
        config, on_missing=on_missing, slots=run_code, host=host, port=port, insecure=insecure or None
    )
    check_address(settings)
    loaded = load_recipe(recipe)
    access = (tls_of(ca, cert, key), token)
    session = session_of(loaded, recipe, (endpoints_file, None), access, workers, verbose=False, may_be_away=True)
    run_on_loop(_serve(session, loaded, recipe, settings))
    return 0


async def _serve(session: Session, recipe: Recipe, path: Path, settings: GatewayConfig) -> None:
    from reward_servers.cli._remote import in_options
    from reward_servers.gateway import AskedServers, serve

    async with session:
        client = await session.client(recipe, logs_waits=True)
        servers = AskedServers(client, session.offers, path)
        for name, reason in servers.away.items():
            print_note(f"server {name!r}: not asked what it hosts: {in_options(reason)}")
            print_note(
                f"server {name!r}: its rewards are missing until it answers and fits the recipe; /ready names it"
            )
        await session.run(serve(client, settings, lambda url: print(f"listening on {url}", flush=True), servers))
    print("stopped", file=sys.stderr)
