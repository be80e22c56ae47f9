"""``assay methods``: the methods that turn scores into a training signal."""

from __future__ import annotations

from typing import Annotated

import typer

from reward_servers.cli._errors import UserError


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A method, module:function or paper; all without.")
    ] = None,
) -> int:
    """Describe the methods for shaping, combining, advantages and selection, with formula and source."""
    from pathlib import Path

    from reward_servers.recipes import find_modules_in
    from trainer_client.signals import UnknownMethodError, catalogue

    if name is not None and ":" in name:
        find_modules_in(Path())
    try:
        print(catalogue.overview() if name is None else catalogue.describe(name))
    except UnknownMethodError as error:
        raise UserError(str(error)) from None
    return 0
