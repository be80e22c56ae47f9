"""The language table. One more language is one more row."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
from collections.abc import Callable, Mapping

from sandbox._errors import UnsupportedLanguageError
from sandbox._types import MIB, Limits

_BUILD_LIMITS = Limits(cpu_s=30.0, wall_s=120.0, memory_bytes=1024 * MIB, disk_bytes=256 * MIB, stderr_bytes=64 << 10)
_LARGE_BUILD = dataclasses.replace(_BUILD_LIMITS, memory_bytes=2048 * MIB, processes=256)
OUTPUT = "/tmp/box/main"  # noqa: S108 - a path behind the wall
_SHELL = "/bin/sh"
_SYSTEM = ("/usr/", "/bin/")
_JVM_BUILD = "-J-Xshare:auto -J-XX:+UseSerialGC -J-XX:-UsePerfData -J-XX:TieredStopAtLevel=1"


@dataclasses.dataclass(frozen=True, slots=True)
class Language:
    """One row.

    Attributes:
        name: As used in `Program.language`.
        source: Name of the file that the source is written to.
        tool: Program that compiles or interprets it; empty for Python, which the warm interpreter runs.
        build: Arguments of the compiler after its name, empty if there is nothing to compile.
        script: Shell commands that build instead, where it takes more than one program; `{tool}`, `{stem}` and
            `{output}` are filled in.
        needs: Further programs that this takes.
        product: Name of the file in which the interpreter finds what was built; empty if that is run itself.
        stem: Says from the source how its file and its main class are called, where that matters.
        run: Arguments of the interpreter after its name; `{memory_mib}` and `{stem}` are filled in.
        address_space: Whether the program runs under a limit of its address space; else one of its data, which
            leaves out what is reserved but not used.
        waits_for_reader: Whether it writes the rest when a pipe is full. One that does not, and loses what it had not
            written when it exits, writes to files instead.
        out_of_memory: Texts near the end of standard error by which it says that it ran out of memory.
        package: What to install if the tool is missing.
        build_limits: Limits of compiling unless the caller gives others.
        builds_in_address_space: Whether the compiler runs under a limit of its address space.
    """

    name: str
    source: str
    tool: str = ""
    build: tuple[str, ...] = ()
    script: str = ""
    needs: tuple[str, ...] = ()
    product: str = ""
    stem: Callable[[bytes], str] | None = None
    run: tuple[str, ...] = ()
    address_space: bool = True
    waits_for_reader: bool = True
    out_of_memory: tuple[bytes, ...] = ()
    package: str = ""
    build_limits: Limits = _BUILD_LIMITS
    builds_in_address_space: bool = True

    @property
    def remedy(self) -> str:
        """The command that installs the tool where the sandbox runs."""
        return self.package if " " in self.package else f"apt-get install {self.package}"

    @property
    def is_built(self) -> bool:
        """Whether there is something to compile before it runs."""
        return bool(self.build or self.script)

    def source_name(self, source: bytes) -> str:
        """Name of the file of a program."""
        return self.source if self.stem is None else f"{self.stem(source)}{os.path.splitext(self.source)[1]}"

    def build_command(self, tool: str, source: bytes) -> list[str]:
        """The command that compiles a program in its directory."""
        if not self.script:
            return [tool, *self.build]
        stem = self.stem(source) if self.stem is not None else ""
        return [_SHELL, "-ec", self.script.format(tool=tool, stem=stem, output=OUTPUT)]

    def run_command(self, tool: str, source: bytes, memory_mib: int) -> list[str]:
        """The command that interprets it."""
        stem = self.stem(source) if self.stem is not None else ""
        return [tool, *(argument.format(memory_mib=memory_mib, stem=stem) for argument in self.run)]


_PUBLIC = re.compile(
    rb"^[ \t]*public\s+(?:(?:final|abstract|strictfp)\s+)*(?:class|record|enum|interface)\s+(\w+)", re.M
)
_CLASS = re.compile(rb"\b(?:class|record|enum|interface)\s+(\w+)")
_MAIN = re.compile(rb"\bstatic\s+(?:final\s+)?void\s+main\s*\(")


def _depth(source: bytes, place: int) -> int:
    """How many braces are open there."""
    return source.count(b"{", 0, place) - source.count(b"}", 0, place)


def _java_class(source: bytes) -> str:
    """The public class, whose name the file has to carry; else the class around `main`."""
    match = _PUBLIC.search(source)
    main = _MAIN.search(source)
    if match is None and main is not None:
        outer = [match for match in _CLASS.finditer(source, 0, main.start()) if _depth(source, match.start()) == 0]
        match = outer[-1] if outer else None
    return match[1].decode("ascii", "replace") if match is not None and match[1].isascii() else "Main"


_ROWS = (
    Language("python", "main.py", out_of_memory=(b"MemoryError",), build_limits=Limits()),
    Language(
        "c",
        "main.c",
        tool="gcc",
        build=("-O2", "-std=gnu17", "-o", OUTPUT, "main.c", "-lm"),
        package="gcc",
    ),
    Language(
        "cpp",
        "main.cpp",
        tool="g++",
        build=("-O2", "-std=gnu++20", "-o", OUTPUT, "main.cpp"),
        out_of_memory=(b"std::bad_alloc",),
        package="g++",
    ),
    Language(
        "javascript",
        "main.js",
        tool="node",
        run=("--max-old-space-size={memory_mib}", "main.js"),
        address_space=False,  # V8 reserves far more than it uses
        waits_for_reader=False,
        out_of_memory=(b"heap out of memory", b"allocation failed"),
        package="nodejs",
    ),
    Language("bash", "main.sh", tool="bash", run=("main.sh",), package="bash"),
    Language(
        "typescript",
        "main.ts",
        tool="node",
        # Types are not checked: a judge runs what the program does. Its syntax is.
        script="tsc --noCheck --skipLibCheck --ignoreConfig --types '' --target es2022 --module commonjs --outDir out "
        "main.ts; cp out/main.js {output}",
        needs=("tsc",),
        product="main.js",
        run=("--max-old-space-size={memory_mib}", "main.js"),
        address_space=False,
        waits_for_reader=False,
        out_of_memory=(b"heap out of memory", b"allocation failed"),
        package="npm install --global typescript",
        builds_in_address_space=False,
    ),
    Language(
        "java",
        "Main.java",
        tool="java",
        script=f"javac {_JVM_BUILD} -nowarn -encoding UTF-8 -d out {{stem}}.java; "
        f"jar {_JVM_BUILD} --create --file {{output}} -C out .",
        needs=("javac", "jar"),
        product="main.jar",
        stem=_java_class,
        run=(
            "-Xms8m",
            "-Xmx{memory_mib}m",
            "-Xss64m",  # of the thread of main; the next is that of all others
            "-XX:ThreadStackSize=1024",
            "-XX:ReservedCodeCacheSize=64m",
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            "-XX:+ExitOnOutOfMemoryError",
            "-cp",
            "main.jar",
            "{stem}",
        ),
        address_space=False,
        out_of_memory=(b"java.lang.OutOfMemoryError", b"insufficient memory for the Java Runtime"),
        package="default-jdk-headless",
        build_limits=_LARGE_BUILD,
        builds_in_address_space=False,
    ),
    Language(
        "go",
        "main.go",
        tool="go",
        script="export GOCACHE=/tmp/cache GOPATH=/tmp/path GO111MODULE=off CGO_ENABLED=0 GOTELEMETRY=off\n"
        "{tool} build -p 2 -o {output} main.go",
        address_space=False,
        out_of_memory=(b"runtime: out of memory", b"cannot allocate memory"),
        package="golang-go",
        build_limits=_LARGE_BUILD,
        builds_in_address_space=False,
    ),
    Language(
        "rust",
        "main.rs",
        tool="rustc",
        build=("-C", "opt-level=2", "--edition", "2021", "-A", "warnings", "-o", OUTPUT, "main.rs"),
        out_of_memory=(b"memory allocation of",),
        package="rustc",
        build_limits=_LARGE_BUILD,
        builds_in_address_space=False,
    ),
)
TABLE: Mapping[str, Language] = {row.name: row for row in _ROWS}

PRELOADS: Mapping[str, tuple[str, ...]] = {
    "scientific": ("numpy", "scipy", "pandas", "sympy"),
    "databases": ("duckdb",),
}
"""Sets of packages by name, as import names."""


def _tools(row: Language) -> tuple[str, ...]:
    return (row.tool, *row.needs) if row.tool else ()


def _which(tool: str) -> str | None:
    """Path of a program: of the distribution if that has it, since programs can see it in any case."""
    path = shutil.which(tool)
    if path is None or path.startswith(_SYSTEM):
        return path
    places = [place for place in os.environ.get("PATH", "").split(":") if f"{place}/".startswith(_SYSTEM)]
    return shutil.which(tool, path=":".join(places)) or path


def look_up(name: str) -> tuple[Language, str]:
    """Return a row and the path of its tool.

    Raises:
        UnsupportedLanguageError: There is no such row or a tool is missing.
    """
    row = TABLE.get(name)
    if row is None:
        raise UnsupportedLanguageError(name, f"the table holds {', '.join(TABLE)}")
    if not all(map(_which, _tools(row))):
        raise UnsupportedLanguageError(name, row.remedy)
    return row, (_which(row.tool) or "") if row.tool else ""
