"""Each verifier loads with nothing but what its entry point declares."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reward_servers.core import installed

OURS = "assay"
LOAD = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from reward_servers.core import installed

entries = installed()
for name in NAMES:
    entries[name].load()
"""


def _wanted(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return
    for line in lines:
        one = Requirement(line)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in (extras or {""})):
            yield one


def _closure(extras: frozenset[str]) -> set[str]:
    """The distributions that come with these extras of ours."""
    found: set[str] = set()
    todo: list[tuple[str, frozenset[str]]] = [(OURS, extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        name, asked = todo.pop()
        if (name, asked) in seen:
            continue
        seen.add((name, asked))
        found.add(name)
        todo += [(canonicalize_name(one.name), frozenset(one.extras)) for one in _wanted(name, asked)]
    return found


def _by_extras() -> dict[frozenset[str], list[str]]:
    groups: dict[frozenset[str], list[str]] = {}
    for name, entry in installed().items():
        if entry.distribution.startswith(f"{OURS} "):
            groups.setdefault(frozenset(entry.extras), []).append(name)
    return groups


@pytest.mark.parametrize("extras", [pytest.param(key, id=",".join(sorted(key)) or "none") for key in _by_extras()])
def test_a_verifier_imports_nothing_that_it_does_not_declare(extras: frozenset[str]) -> None:
    every = frozenset().union(*_by_extras())
    absent_packages = _closure(every) - _closure(extras | {"server"})
    assert absent_packages, "nothing would be missing: the test shows nothing"
    absent = {
        module
        for module, packages in packages_distributions().items()
        if {canonicalize_name(package) for package in packages} <= absent_packages
    }
    script = f"ABSENT, NAMES = {absent!r}, {_by_extras()[extras]!r}\n{LOAD}"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-600:]
