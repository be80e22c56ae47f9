"""Files in a user's own shape: which column is which field."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reward_servers.cli._console import print_note
from reward_servers.cli._errors import UserError

if TYPE_CHECKING:
    from trainer_client import Recipe, RolloutFile

_PROBLEMS_SHOWN = 20
_USUAL = {
    "response": (
        "completion", "completions", "responses", "output", "outputs", "answer_text", "generation", "generations",
        "model_output", "model_response", "prediction", "predictions", "generated_text", "text",
    ),
    "reference.answer": ("answer", "solution", "ground_truth", "gold", "target", "label"),
    "prompt": ("question", "problem", "instruction", "input", "query"),
}  # fmt: skip
"""What other files call a field; only ever proposed, never taken."""


def read_columns(texts: Sequence[str]) -> dict[str, str]:
    """Read ``FIELD=COLUMN`` of the command line.

    Raises:
        UserError: One of them has another form, or is given twice.
    """
    columns: dict[str, str] = {}
    for entry in [part for text in texts for part in text.split(",")]:
        name, equals, column = entry.partition("=")
        if not (name and equals and column):
            raise UserError(f"--map {entry!r}: expected FIELD=COLUMN, such as response=completion")
        if name in columns:
            raise UserError(f"--map {entry}: {name} is {columns[name]} already; give each field once")
        columns[name] = column
    return columns


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; modules that it names are beside it, in the working directory, or installed."""
    from reward_servers.recipes import find_modules_in
    from trainer_client import Recipe

    find_modules_in(path.parent)
    return Recipe.load(path)


def recipe_of(path: Path | None, verifiers: Sequence[str], options: str | None, config: Path | None = None) -> Recipe:
    """The recipe of a file, or one that only asks verifiers.

    Args:
        path: The file; None for none.
        verifiers: What is asked without a recipe.
        options: Its options, as JSON.
        config: Settings file of the one server that hosts them all; without it each has a server of its own.

    Raises:
        UserError: Neither is given, or both.
    """
    from reward_servers.cli._check import read_options
    from trainer_client import Recipe, Reward, Server

    if (path is None) == (not verifiers):
        raise UserError("give either a recipe (--recipe recipe.toml) or a verifier (--verifier math)")
    if path is not None:
        if options is not None:
            raise UserError("--options is only for --verifier; with a recipe, write the options of each reward there")
        if config is not None:
            raise UserError(
                '--config is only for --verifier; with a recipe, write it there: [servers.NAME] config = "FILE"'
            )
        return load_recipe(path)
    if options is not None and len(verifiers) > 1:
        raise UserError("--options is for one --verifier; write a recipe for several with options")
    chosen = read_options(options)
    names = [name.partition("@")[0] for name in verifiers]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--verifier {name} is given {names.count(name)} times; give it once, or write a recipe")
    rewards = tuple(Reward(name, verifier, options=chosen) for name, verifier in zip(names, verifiers, strict=True))
    servers = () if config is None else (Server("score", tuple(names), config=os.path.abspath(config)),)
    return Recipe(rewards, name="score", servers=servers, advantage=None)


def server_settings(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The settings files that the servers of a recipe read, by what they are.

    Args:
        recipe: The recipe.
        folder: Folder that their paths are relative to.
    """
    return {
        f"the settings of server {server.name!r}": folder / server.config
        for server in recipe.all_servers
        if server.config is not None
    }


def read_source(source: Path, columns: Mapping[str, str], **form: Any) -> RolloutFile:
    """Read a file of rollouts, and report the rows that cannot be used.

    Args:
        source: The file.
        columns: Column by field.
        form: How else it is read: see `trainer_client.rollout.files.Form`.

    Raises:
        UserError: It is no file of rows, or no row of it can be used.
    """
    from trainer_client import RolloutError, read_rollouts

    try:
        file = read_rollouts(source, columns, **form)
    except RolloutError as error:
        place = "" if str(error).startswith(str(source)) else f"{source}: "
        raise UserError(f"{place}{error}") from None
    if not file.rollouts and file.columns:
        raise UserError(unfitting(source, file, columns))
    if file.format != "plain" and form.get("format") is None:
        print_note(f"{source}: read as {file.format}; --format plain reads rows as they are")
    if file.variants:
        print_note(f"{source}: {file.variants} rows hold the responses of other rows once more, and are left out")
    for problem in file.problems[:_PROBLEMS_SHOWN]:
        print_note(f"{source}: {problem}")
    if len(file.problems) > _PROBLEMS_SHOWN:
        print_note(f"{source}: {len(file.problems) - _PROBLEMS_SHOWN} more lines cannot be used")
    if not file.rollouts:
        raise UserError(useless(source, file))
    return file


def useless(source: Path, file: RolloutFile) -> str:
    """Say of a file that it gives no rollout."""
    return f"{source}: {'no line can be used as a rollout' if file.problems else 'it has no rows'}"


def unfitting(source: Path, file: RolloutFile, columns: Mapping[str, str]) -> str:
    """Say of a file of which no line can be used what its columns are, and how to say which is which."""
    first = file.problems[0]
    columns_here = ", ".join(file.columns)
    lacks = "response: is missing" in first.reason
    proposed = " ".join(_proposed(file, columns)) or "--map response=COLUMN"
    remedy = f"; say which is which: {proposed}" if lacks else ""
    more = f" (and {len(file.problems) - 1} more)" if len(file.problems) > 1 else ""
    return f"{source}: no line can be used as a rollout: {first}{more}. Columns here: {columns_here}{remedy}"


def reference_remedy(file: RolloutFile, columns: Mapping[str, str]) -> str:
    """Say of a file without references, of which a verifier needs some, where they may be; empty where it has some."""
    if "reference" in file.columns or any(name.partition(".")[0] == "reference" for name in columns):
        return ""
    columns_here = ", ".join(file.columns)
    proposed = [remedy for remedy in _proposed(file, columns) if remedy.startswith("--map reference.")]
    if file.format != "plain":
        proposed = proposed or ["--map reference.answer=COLUMN, of a second file by --join FILE"]
    how = " ".join(proposed) or "--map reference.answer=COLUMN"
    return f"there is no column reference; columns here: {columns_here}; say which it is: {how}"


def _proposed(file: RolloutFile, columns: Mapping[str, str]) -> list[str]:
    """Options that give fields the columns which other files call so."""
    return [
        f"--map {name}={column}"
        for name, usual in _USUAL.items()
        if name.partition(".")[0] not in file.columns and name not in columns
        for column in [next((column for column in usual if column in file.columns), "")]
        if column
    ]
