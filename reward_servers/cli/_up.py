"""``assay up``: all servers of a recipe, kept running."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._inputs import load_recipe, server_settings
from reward_servers.cli._numbers import seconds, worker_count
from reward_servers.cli._whole_file import refuse_overwriting
from reward_servers.process.parent import end_with_parent

if TYPE_CHECKING:
    from reward_servers.supervisor import ServerProcess, Supervisor
    from trainer_client import Recipe, Server

_MOST_NAMED = 3


def up(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (TOML).")],
    host: Annotated[str | None, typer.Option(help="Address that the servers listen on.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the first server; the others follow. Free ports unless said.", min=1)
    ] = None,
    workers: Annotated[int | None, worker_count("Worker processes of each server.")] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Serve in plain text on an address that others can reach.")
    ] = False,
    endpoints_file: Annotated[
        Path | None, typer.Option(help="Write where the servers are (JSON), once all of them answer.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(help="Port for metrics of the whole; the servers' own follow. None unless said.", min=1),
    ] = None,
    grace_s: Annotated[
        float | None,
        seconds("Seconds to finish what is under way when stopped; at least what servers may drain.", least=0),
    ] = None,
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    plain: Annotated[bool, typer.Option("--plain", hidden=True)] = False,
) -> int:
    """Start all servers of a recipe and keep them running.

    Each is a process of its own, started again when it dies. One Ctrl-C stops all of them: they finish what they have
    admitted. A second one kills them.
    """
    from reward_servers.fleet import addresses_elsewhere, programs_of
    from reward_servers.recipes import Offers, check_recipe

    if with_parent:
        end_with_parent(signal.SIGTERM)
    loaded = load_recipe(recipe)
    programs = programs_of(
        loaded.all_servers, recipe.parent, host=host, port=port, workers=workers, insecure=insecure, plain=plain
    )
    if not programs:
        print("nothing to start: the recipe gives endpoints for every server", file=sys.stderr)
        return 0
    check_recipe(loaded, recipe, Offers(addresses_elsewhere(loaded.all_servers, {}), folder=recipe.parent, ask=False))
    if endpoints_file is not None:
        refuse_overwriting(
            "--endpoints-file", endpoints_file, {"the recipe": recipe, **server_settings(loaded, recipe.parent)}
        )
        _warn_of_others(endpoints_file, loaded.all_servers)
    asyncio.run(_keep(loaded, programs, endpoints_file, grace_s, metrics_port))
    return 0


def _warn_of_others(file: Path, servers: Iterable[Server]) -> None:
    """Say whose file is taken: to hand over is usual, and to give two runs one file is a slip."""
    from reward_servers.cli._console import print_note
    from reward_servers.cli._fleet import answering

    if others := answering(file, {address for server in servers for address in server.endpoints or ()}):
        more = f" and {len(others) - _MOST_NAMED} more" if len(others) > _MOST_NAMED else ""
        print_note(
            f"warning: --endpoints-file {file} names servers of another run, which answer: "
            f"{', '.join(others[:_MOST_NAMED])}{more}; once the servers of this run are ready, it will name them alone"
        )


async def _keep(
    recipe: Recipe,
    programs: list[ServerProcess],
    endpoints_file: Path | None,
    grace_s: float | None,
    metrics: int | None,
) -> None:
    from reward_servers.cli._fleet import PrefixedLog
    from reward_servers.config import drain_timeout_s
    from reward_servers.fleet import addresses_elsewhere, verifiers_elsewhere
    from reward_servers.process.termination import ending_signals
    from reward_servers.supervisor import Supervisor

    servers = recipe.all_servers
    elsewhere = verifiers_elsewhere(servers, addresses_elsewhere(servers, {}))
    log = PrefixedLog(["assay", *(program.label for program in programs)])
    least = drain_timeout_s(program.config for program in programs)
    if grace_s is not None and grace_s < least:
        log("assay", f"--grace-s {grace_s:g} is less than the servers may take to drain; {least:g} s it is")
        grace_s = None
    if metrics is not None:
        programs = [replace(program, metrics=metrics + 1 + place) for place, program in enumerate(programs)]
    supervisor = Supervisor(programs, elsewhere=elsewhere, log=log, grace_s=grace_s)
    running = asyncio.create_task(_run(supervisor, recipe, endpoints_file, metrics))
    signals = 0

    def on_signal() -> None:
        nonlocal signals
        signals += 1
        if signals == 1:
            running.cancel()
            log("assay", "stopping; once more kills")
        else:
            supervisor.kill()
            log("assay", "killing the servers")

    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        await running
    except asyncio.CancelledError:
        if not signals:
            raise


async def _run(supervisor: Supervisor, recipe: Recipe, endpoints_file: Path | None, metrics: int | None) -> None:
    from reward_servers.cli._fleet import endpoints_written
    from reward_servers.observe import fleet_metrics

    async with supervisor, fleet_metrics(lambda: supervisor.states, metrics):
        started = supervisor.endpoints
        endpoints = {server.name: server.endpoints or started[server.name] for server in recipe.all_servers}
        for name, addresses in endpoints.items():
            print(f"{name} listening on {','.join(addresses)}")
        # A reader that waits for this line reads the file next.
        with endpoints_written(endpoints_file, endpoints):
            print("ready", flush=True)
            await supervisor.wait()
