"""The shape of the tree: files and functions of a length that is read at once, and imports without circles."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.surface.inner import READERS
from trainer_client.signals import methods

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60


@cache
def sources() -> Mapping[str, str]:
    """Text of each Python file that is written by hand, by its path."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
    else:
        folders = ("sandbox", "trainer_client", "reward_servers", "tests", "benchmarks", "examples")
        listed = [str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    paths = [path for path in listed if "_pb2" not in path and (ROOT / path).exists()]
    return {path: (ROOT / path).read_text("utf-8") for path in paths}


@cache
def trees() -> Mapping[str, ast.Module]:
    return {path: ast.parse(text) for path, text in sources().items()}


def test_no_file_is_longer_than_400_lines() -> None:
    assert {path: lines for path, text in sources().items() if (lines := text.count("\n")) > FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    functions = (
        (f"{path}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert {place: lines for place, lines in functions if lines > FUNCTION_LINES} == {}


def test_imports_have_no_circle_even_those_for_annotations_or_within_functions() -> None:
    modules = {_module(path): path for path in sources() if not path.startswith("tests/")}
    graph = {module: set(_imported(trees()[path], modules)) - {module} for module, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported(tree: ast.Module, modules: Mapping[str, str]) -> Iterator[str]:
    """Modules of this project that a module imports; a package's name for what the package itself defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and node.module in modules:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in modules else node.module


THIRD_PERSON = frozenset(
    re.findall(
        r"\w+",
        "adds applies asks begins binds brings builds checks chooses closes compares computes connects "
        "creates decides declares does drops ends fills finds fits forgets frees gathers gets gives goes "
        "imports inserts installs joins judges keeps kills lets loads looks makes measures merges opens "
        "parses passes prepares prints puts raises reads records refuses registers releases removes replaces "
        "resets resolves restarts returns says sends serves settles shows skips sorts splits stops stores "
        "takes tells translates tries updates validates waits walks writes yields ",
    )
)


def test_docstrings_of_functions_begin_with_a_command_or_a_noun() -> None:
    begins = {
        f"{path}:{node.lineno}": word[0].lower()
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (word := re.match(r"\w+", ast.get_docstring(node) or ""))
    }
    assert {place: word for place, word in begins.items() if word in THIRD_PERSON} == {}


def test_only_packages_list_what_they_export() -> None:
    modules = [path for path, text in sources().items() if re.search(r"^__all__\b", text, re.M)]
    assert [path for path in modules if not path.endswith("__init__.py")] == []


def test_texts_are_normalised_where_many_marks_in_a_row_cost_no_square() -> None:
    bare = {path for path, text in sources().items() if re.search(r"unicodedata\.normalize\(", text)}
    # The lexer's is of one character at a time.
    assert {path for path in bare if path.startswith(("reward_servers/", "trainer_client/"))} == {
        "reward_servers/engines/math/syntax/lexer.py",
        "reward_servers/engines/text/_composed.py",
    }


def test_every_exception_class_ends_in_error() -> None:
    """Found by bases, so that a class three steps from `Exception` counts too, wherever it is defined."""
    classes = [
        (path, node) for path, tree in trees().items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)
    ]
    raised = {
        name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    }
    raised.add("RpcError")
    before = 0
    while len(raised) != before:
        before = len(raised)
        raised |= {
            node.name for _, node in classes if raised & {ast.unparse(base).split(".")[-1] for base in node.bases}
        }
    ours = {node.name: path for path, node in classes if node.name in raised}
    assert len(ours) > 100
    assert {name: path for name, path in ours.items() if not name.endswith("Error")} == {}


UNITLESS = frozenset(
    re.findall(
        r"\w+",
        "bytes cpu cpu_limit deadline drain_seconds lease longest memory memory_mb most budget size timeout wall",
    )
)
"""Names that say no unit, or not that they are a maximum."""
UNITS = {"Seconds": ("_s", "seconds"), "CPU seconds": ("_s",), "Bytes": ("_bytes", "bytes")}


def _options() -> Iterator[tuple[str, str, str]]:
    """Place, name and text of each number among settings, options and limits. Another's protocol has its own names."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            bases = " ".join(map(ast.unparse, node.bases))
            if node.name.endswith("Limits") or re.search(r"(Section|Options|Settings)\b", bases):
                for part in node.body:
                    if isinstance(part, ast.AnnAssign) and re.search(r"\b(int|float)\b", ast.unparse(part.annotation)):
                        name = ast.unparse(part.target)
                        yield f"{path} {node.name}.{name}", name, ast.unparse(part)


def test_options_say_their_unit_and_that_they_are_a_maximum() -> None:
    options = list(_options())
    assert len(options) > 100
    assert [place for place, name, _ in options if name in UNITLESS] == []
    ends = {
        place: (name, units)
        for place, name, text in options
        for begin, units in UNITS.items()
        if re.search(rf"description=[\"']{begin}\b", text)
    }
    assert len(ends) >= 3
    assert [place for place, (name, units) in ends.items() if not name.endswith(units)] == []


def test_a_minimum_and_a_maximum_are_called_min_and_max_everywhere() -> None:
    options = [(place, name) for place, name, _ in _options()]
    options += [
        (f"{method.name}.{name}", name)
        for method in methods()
        for name, parameter in inspect.signature(method.target).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    assert len(options) > 500
    other = re.compile(r"^(?:least|most|longest|largest|smallest)(?:_|$)|_limit$")
    assert [place for place, name in options if other.search(name)] == []


def test_the_client_has_eight_floors_at_most_and_each_module_stands_on_one() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    rooms = {
        container: contract
        for contract in contracts
        for container in contract.get("containers", ())
        if container.startswith("trainer_client") and container != "trainer_client.signals"
    }
    inner = ("_client", "_session", "_transport", "recipe", "result", "rollout")
    assert set(rooms) == {"trainer_client", *(f"trainer_client.{room}" for room in inner)}
    assert {name: len(room["layers"]) for name, room in rooms.items() if len(room["layers"]) > 8} == {}
    assert [name for name, room in rooms.items() if not room.get("exhaustive")] == []


def test_tests_speak_to_public_functions_or_have_a_reason() -> None:
    private = re.compile(r"(?:^|\.)_(?!_)\w")
    ours = ("trainer_client", "reward_servers", "sandbox")
    inner = {
        path
        for path, tree in trees().items()
        if path.startswith("tests/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom | ast.Import)
        for name in node.names
        if (full := f"{getattr(node, 'module', None) or ''}.{name.name}".strip(".")).startswith(ours)
        and private.search(full)
    }
    assert inner - set(READERS) == set(), "import what a package exports, or say in tests/surface/inner.py why not"
    assert [path for path in READERS if not (ROOT / path).exists()] == []
