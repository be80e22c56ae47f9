"""``assay new``: a package with a verifier, ready to be installed, tested and served."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from reward_servers.cli._errors import UserError

_LONGEST = 64
_TAKEN = frozenset({"verifier", "float"})
"""Names that the module itself uses."""
_IMPORTED = frozenset({
    "Answer", "Compilefailure", "Cost", "Expected", "Fault", "Item", "Itemlimits", "Limits", "Modelsettings", "Program",
    "Reference", "Rollout", "Score", "Sequence", "Settings",
})  # fmt: skip
KINDS = ("function", "async", "batch", "group", "sandbox")
"""What `--kind` may say, each a folder of templates."""
_CLASSES = ("batch", "sandbox")
_BESIDE = {"async": " --with exact"}
"""What a check of a kind needs besides the verifier."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the verifier, such as acme/polite.")],
    kind: Annotated[
        str,
        typer.Option(
            help="function; async (asks another verifier); batch (many at once, on a device); group (all responses of "
            "a prompt); sandbox (runs the response's program)."
        ),
    ] = "function",
    folder: Annotated[
        Path | None, typer.Option("--dir", help="Folder to write; named after the verifier unless said.")
    ] = None,
) -> int:
    """Write a package with a new verifier.

    It holds one short function or class, its test, labelled cases, and the entry point that makes it known.
    """
    if kind not in KINDS:
        raise UserError(f"--kind {kind!r} is not known; known are {', '.join(KINDS)}")
    names = _names_for(name)
    target = folder if folder is not None else Path(names.distribution)
    paths = _write(names, kind, target)
    print(f"wrote {target}:")
    for path in paths:
        print(f"  {path}")
    beside = _BESIDE.get(kind, "")
    print(f"next: python -m pip install -e {target} && assay check {name} --cases {target / 'cases.jsonl'}{beside}")
    return 0


@dataclass(frozen=True, slots=True)
class _Names:
    name: str
    distribution: str
    module: str
    function: str

    @property
    def class_name(self) -> str:
        """The function's name as that of a class: ``LastLine``; never that of a class which the module imports."""
        joined = "".join(part.capitalize() for part in self.function.split("_"))
        return f"{joined}Verifier" if joined in _IMPORTED else joined


def _names_for(name: str) -> _Names:
    from reward_servers.core import is_verifier_name

    if not is_verifier_name(name) or len(name) > _LONGEST:
        raise UserError(
            f"NAME {name!r} is not a verifier name: lower-case letters, digits, '_', '-' and '.', at most one '/' and "
            f"{_LONGEST} characters, such as 'acme/polite'"
        )
    short = _identifier(name.rpartition("/")[2])
    # Without an owner's prefix the module gets ours, so that it cannot hide a module of that name.
    module = _identifier(name) if "/" in name else f"assay_{short}"
    if not (short.isidentifier() and module.isidentifier()):
        raise UserError(f"NAME {name!r} cannot name a Python function; start each part with a letter")
    _refuse_taken(name)
    if find_spec(module) is not None:
        raise UserError(
            f"NAME {name!r} would be the module {module}, and a module of that name is installed; choose another name"
        )
    function = f"{short}_" if keyword.iskeyword(short) or short in _TAKEN else short
    distribution = re.sub(r"[-_.]+", "-", module).strip("-")
    return _Names(name, distribution, module, function)


def _identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text)


def _refuse_taken(name: str) -> None:
    for point in entry_points(group="assay.verifiers", name=name):
        owner = point.dist.name if point.dist is not None else point.value
        raise UserError(f"NAME {name!r} is already the name of a verifier of {owner}; choose another name")


def _write(names: _Names, kind: str, target: Path) -> list[Path]:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"--dir {target} exists and is not empty; nothing is overwritten: choose another folder")
    places = {
        "pyproject.toml": target / "pyproject.toml",
        "README.md": target / "README.md",
        f"{kind}/module.py": target / "src" / names.module / "__init__.py",
        f"{kind}/test.py": target / "tests" / f"test_{names.module}.py",
        f"{kind}/cases.jsonl": target / "cases.jsonl",
    }
    values = {
        "name": names.name,
        "distribution": names.distribution,
        "module": names.module,
        "short": names.function.strip("_"),
        "target": names.class_name if kind in _CLASSES else names.function,
        "beside": _BESIDE.get(kind, ""),
    }
    templates = files("reward_servers.cli") / "_template"
    for template, place in places.items():
        text = Template((templates / f"{template}.tmpl").read_text("utf-8")).substitute(values)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    return list(places.values())
