"""The digest of a verifier: what can change its verdicts, and nothing else.

Code counts without its comments and its layout, so that two replicas differ when they would judge differently and not
when a line was wrapped. Settings count unless the verifier calls them neutral, libraries where it names them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from reward_servers.core._cache import fields
from reward_servers.core._schemas import Settings
from reward_servers.core._verifier import Verifier

_NOT_JUDGING = ("reward_servers.core",)
_OURS = ("reward_servers", "sandbox")
_NEVER_BESIDE = frozenset({*_OURS, "trainer_client"})
"""What a verifier of others runs on, even where their sources lie in one folder."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_NAMES = frozenset({"rollout_id", "group_id", "prompt_context"})
"""What a verifier is shown of a rollout beside its content, and what holds it."""


def digest_of(verifier: Verifier, settings: Settings | None) -> str:
    """The digest of a verifier with its settings."""
    shaping: Mapping[str, Any] = {}
    if settings is not None:
        shaping = settings.model_dump(mode="json", exclude=set(settings.score_neutral))
    code = _code_of(verifier.modules)
    libraries = [part for name in sorted(verifier.libraries) for part in (name, _version(name))]
    identity = fields(verifier.name, verifier.version, verifier.path, json.dumps(shaping, sort_keys=True))
    return "sha256:" + sha256(fields(identity, fields(*code), fields(*libraries))).hexdigest()[:32]


def code_digest(modules: Sequence[str]) -> str:
    """The digest of the code alone, as the files of a verifier's modules and of what judges with them are now."""
    return sha256(fields(*_code_of(modules))).hexdigest()[:32]


def reads_names(modules: Sequence[str]) -> bool:
    """Whether the code of a verifier may look at what its rollouts and groups are called; yes, where none is found.

    Args:
        modules: Its modules. What they import of their package, or from beside it, counts as well; of our own packages
            nothing more does.
    """
    for module in modules:
        trees = _judging_code(module, () if (own := module.partition(".")[0]) in _OURS else (own,))
        if not trees or any(_says_names(tree) for tree in trees.values()):
            return True
    return False


def _says_names(tree: ast.AST) -> bool:
    words = (getattr(node, "attr", getattr(node, "value", None)) for node in ast.walk(tree))
    return any(isinstance(word, str) and word in _NAMES for word in words)


def judging_files(modules: Sequence[str]) -> list[Path]:
    """The files of a verifier's modules and of what judges with them."""
    return sorted(judging_modules(modules).values())


def judging_modules(modules: Sequence[str]) -> dict[str, Path]:
    """A verifier's modules and what judges with them, each with its file."""
    names = {name for module in modules for name in _judging_code(module)}
    return {name: path for name in names if (path := _file_of(name)[0]) is not None}


def _code_of(modules: Sequence[str]) -> list[str]:
    trees: dict[str, ast.AST] = {}
    for module in modules:
        trees |= _judging_code(module)
    return [part for name, tree in sorted(trees.items()) for part in (name, canonical_code(tree))]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def _judging_code(module: str, packages: Sequence[str] | None = None) -> dict[str, ast.AST]:
    """The code that verdicts are made in: the verifier's module, and what it imports.

    Args:
        module: The verifier's module.
        packages: Whose modules count of what it imports, with those that lie beside its own package; None for its own
            package's and ours.
    """
    own = module.partition(".")[0]
    prefixes = (own, *_OURS) if packages is None else packages
    place = _sources_of(own)
    trees: dict[str, ast.AST] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in trees or name.startswith(_NOT_JUDGING):
            continue
        top = name.partition(".")[0]
        if name != module and top not in prefixes and not (place and _lies_in(place, top)):
            continue
        path, package = _file_of(name)
        if path is None:
            continue
        trees[name] = ast.parse(path.read_bytes())
        waiting += _imports(trees[name], package)
    return trees


def _sources_of(package: str) -> Path | None:
    """The folder of sources that a package is in; None for our own, and where packages are installed.

    What lies beside a verifier in a folder of sources is code that is written with it. Beside an installed package lie
    libraries, which a verifier names.
    """
    folder = None if package in _NEVER_BESIDE else _folder_of(package)
    if folder is None or folder.name in _INSTALLED or any(folder.glob("*.dist-info")):
        return None
    return folder


def _lies_in(place: Path, package: str) -> bool:
    return package not in _NEVER_BESIDE and _folder_of(package) == place


def _folder_of(package: str) -> Path | None:
    """The folder in which a package, or a module of none, is found."""
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):  # a module without a specification, such as the program itself
        return None
    if spec is None:
        return None
    inside = list(spec.submodule_search_locations or ())
    if inside or spec.has_location:
        return Path(inside[0] if inside else spec.origin or "").parent.absolute()
    return None


def _file_of(name: str) -> tuple[Path | None, str]:
    """The source of a module and the package that it belongs to; None where there is none."""
    try:
        spec = find_spec(name)
    except Exception:  # noqa: BLE001 - it imports packages on the way, which may do anything
        spec = None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None, ""
    return Path(spec.origin), spec.parent or ""


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                try:
                    base = resolve_name("." * node.level + base, package)
                except ImportError:
                    continue
            yield base
            yield from (f"{base}.{name.name}" for name in node.names)


def canonical_code(tree: ast.AST) -> str:
    """Code as text that stays the same when only comments or layout change, whatever the version of Python."""
    parts: list[str] = []
    _write(tree, parts)
    return "".join(parts)


def _write(value: object, parts: list[str]) -> None:
    if isinstance(value, ast.Constant):
        parts.append(f"({type(value.value).__name__} {value.value!r})")
    elif isinstance(value, ast.AST):
        parts.append(f"({type(value).__name__}")
        for name in value._fields:
            child = getattr(value, name, None)
            # Fields that are empty are not written: later versions of Python have more of them.
            if child is not None and child != [] and name not in ("type_comment", "type_ignores", "kind"):
                parts.append(f" {name}=")
                _write(child, parts)
        parts.append(")")
    elif isinstance(value, list):
        for item in value:
            _write(item, parts)
            parts.append(",")
    else:
        parts.append(repr(value))
