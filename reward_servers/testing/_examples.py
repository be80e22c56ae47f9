"""The examples that a package has for its verifiers: right and wrong rollouts, in a file beside their code."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reward_servers.core import Verifier, find
from reward_servers.testing._cases import Case, read_cases

FILE = "examples.jsonl"
"""Lines of a case file, each with the name of its verifier under ``verifier``."""


def example_rows(verifier: Verifier) -> list[dict[str, Any]]:
    """The lines for a verifier in the nearest ``examples.jsonl``, from its module's folder up to its package's."""
    for folder in _folders(verifier.target.__module__):
        path = folder / FILE
        if path.is_file():
            rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            return [row for row in rows if row["verifier"] == verifier.name]
    return []


def example_cases(verifier: Verifier | str) -> list[Case]:
    """The same as cases.

    Raises:
        ValueError: There are none.
    """
    found_verifier = find(verifier) if isinstance(verifier, str) else verifier
    rows = example_rows(found_verifier)
    if not rows:
        raise ValueError(
            f"{found_verifier.name} has no example to alter: give labelled rollouts (--cases FILE), or add lines with "
            f'"verifier": "{found_verifier.name}" to an {FILE} in its package'
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        case_rows = [{key: value for key, value in row.items() if key != "verifier"} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in case_rows), "utf-8")
        return read_cases(path)


def _folders(module: str) -> Iterator[Path]:
    """The folders of a module's packages, the innermost first; none for a module outside of packages."""
    package = module
    while "." in package:
        package = package.rpartition(".")[0]
        spec = find_spec(package)
        yield from map(Path, (spec.submodule_search_locations or ()) if spec is not None else ())
