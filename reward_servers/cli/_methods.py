"""``assay methods``: the presets that turn scores into a training signal."""

from __future__ import annotations

from typing import Annotated

import typer

from reward_servers.cli._errors import UserError

__all__ = ["methods"]


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A preset or paper; all of them without.")
    ] = None,
) -> int:
    """Describe the presets for shaping, combining, advantages and selection, with formula and source."""
    from trainer_client.signals import UnknownPreset, catalogue

    try:
        print(catalogue.overview() if name is None else catalogue.describe(name))
    except UnknownPreset as error:
        raise UserError(str(error)) from None
    return 0
