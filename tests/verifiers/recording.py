"""Writes what the checks of a published package say of our inputs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def record_checks(package: str, inputs: Iterable[tuple[str, Mapping[str, Any], str]], place: Path) -> None:
    """Ask the checks of IFEval's form, and write a digit for each input.

    Args:
        package: whose ``instructions_registry`` holds them.
        inputs: name of the check, its arguments, and the text.
        place: the file to write.
    """
    families = import_module(f"{package}.instructions_registry").INSTRUCTION_DICT
    verdicts = []
    for name, arguments, text in inputs:
        check = families[name](name)
        check.build_description(**arguments)
        verdicts.append(int(bool(text.strip()) and bool(check.check_following(text))))
    place.write_text(json.dumps({"package": package, "verdicts": "".join(map(str, verdicts))}) + "\n", "utf-8")
