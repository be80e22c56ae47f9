"""``assay recipe``: what a recipe means, and everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli import _options
from reward_servers.cli._access import Ca, Cert, Json, Key, Token, tls_of
from reward_servers.cli._console import print_json, print_note
from reward_servers.cli._errors import EXIT_USER_ERROR

if TYPE_CHECKING:
    from reward_servers.recipes import Offers
    from trainer_client import Recipe, RecipeError, Server


def recipe(
    path: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (TOML).")],
    endpoints_file: _options.EndpointsFile = None,
    endpoint: _options.Endpoints = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
    token: Token = None,
    as_json: Json = False,
) -> int:
    """Say what a recipe binds to what, and everything that is wrong with it, without asking for a score.

    Verifiers are looked up where they run: on the servers that --endpoint, --endpoints-file or the recipe gives
    addresses for, the others among those installed here. Exit code 0: it can be used; 2: it cannot.
    """
    from reward_servers.cli._fleet import endpoints_of
    from reward_servers.fleet import addresses_elsewhere
    from reward_servers.recipes import Offers, RequiredVerifier, find_modules_in, layout_of, problems_of
    from trainer_client import Recipe, RecipeError
    from trainer_client.recipe.client_options import ClientOptions
    from trainer_client.recipe.file import RecipeText

    find_modules_in(path.parent)
    text = RecipeText.of_file(path)
    problems = list(text.problems)
    loaded: Recipe | None = None
    if not problems:
        try:
            loaded = text.build(Recipe)
        except RecipeError as error:
            problems = error.all
    servers: tuple[Server, ...] = loaded.all_servers if loaded is not None else text.fields.get("servers", ())
    endpoints = endpoints_of(servers, endpoints_file, endpoint)
    client_options = text.fields.get("client") or ClientOptions()
    tls = tls_of(ca, cert, key) or client_options.tls
    offers = Offers(addresses_elsewhere(servers, endpoints), tls, token or client_options.token, folder=path.parent)
    servers_named = text.fields.get("servers", ())
    request = RequiredVerifier(text.fields.get("rewards", ()), servers_named, loaded)
    problems += text.located(problems_of(request, offers, path.parent))
    problems.sort(key=lambda problem: problem.line or 0)
    if as_json:
        print_json(_object(loaded, offers, problems), indent=1)
    elif problems:
        for problem in problems:
            print_note(str(problem))
    elif loaded is not None:
        _print(layout_of(loaded, offers))
    for name, reason in offers.silent.items():
        print_note(f"server {name!r}: not asked what it hosts: {reason}")
    return EXIT_USER_ERROR if problems else 0


def _object(recipe: Recipe | None, offers: Offers, problems: list[RecipeError]) -> dict[str, Any]:
    from reward_servers.recipes import layout_of

    listed = [{"line": problem.line, "key": problem.key, "reason": problem.reason} for problem in problems]
    layout = layout_of(recipe, offers) if recipe is not None and not problems else {}
    return {"ok": not problems, "problems": listed, "unasked": dict(offers.silent), **layout}


def _print(layout: dict[str, Any]) -> None:
    from reward_servers.cli._console import print_table

    print(f"recipe {layout['name']!r}, digest {layout['digest']}")
    print_table(
        ("reward", "verifier", "runs", "asked of", "scores", "weight", "gate", "missing", "aspects"),
        [
            [
                row["reward"],
                row["verifier"],
                row["runs"],
                row["tasks"],
                row["scores"],
                row["weight"],
                row["gate"],
                row["missing"],
                ", ".join(row["aspects"]),
            ]
            for row in layout["rewards"]
        ],
    )
    print(f"reward: {layout['range'] or 'the range is not known, since a verifier declares none'}")
    method = layout["method"]
    if method is None:
        print("advantage: none; scores and rewards are written")
        return
    print(f"advantage: {method['setting']}")
    if method["inputs"]:
        print_table(
            ("input", "comes from", "", "what it is"),
            [[row["input"], row["source"], row["how"], row["meaning"]] for row in method["inputs"]],
        )
    print(f"`assay score -o DIR/` writes {', '.join(layout['writes'])}")
