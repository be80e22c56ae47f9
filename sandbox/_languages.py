"""The language table. One more language is one more row."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping

from sandbox._errors import UnsupportedLanguage
from sandbox._types import MIB, Limits

_BUILD_LIMITS = Limits(cpu_s=30.0, wall_s=120.0, memory_bytes=1024 * MIB, disk_bytes=256 * MIB, stderr_bytes=64 << 10)
OUTPUT = "/tmp/box/main"  # noqa: S108 - a path behind the wall


@dataclasses.dataclass(frozen=True, slots=True)
class Language:
    """One row.

    Attributes:
        name: As used in `Program.language`.
        source: Name of the file that the source is written to.
        tool: Program that compiles or interprets it; empty for Python, which the warm interpreter runs.
        build: Arguments of the compiler after its name, empty if there is nothing to compile.
        run: Arguments of the interpreter after its name; `{memory_mib}` is filled in.
        address_space: Whether the program runs under a limit of its address space; else one of its data, which
            leaves out what is reserved but not used.
        waits_for_reader: Whether it writes the rest when a pipe is full. One that does not, and loses what it had not
            written when it exits, writes to files instead.
        out_of_memory: Texts near the end of standard error by which it says that it ran out of memory.
        package: What to install if the tool is missing.
        build_limits: Limits of compiling unless the caller gives others.
    """

    name: str
    source: str
    tool: str = ""
    build: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    address_space: bool = True
    waits_for_reader: bool = True
    out_of_memory: tuple[bytes, ...] = ()
    package: str = ""
    build_limits: Limits = _BUILD_LIMITS

    @property
    def remedy(self) -> str:
        """The command that installs the tool where the sandbox runs."""
        return f"apt-get install {self.package}"


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
)
TABLE: Mapping[str, Language] = {row.name: row for row in _ROWS}

PRELOADS: Mapping[str, tuple[str, ...]] = {"scientific": ("numpy", "scipy", "pandas", "sympy")}
"""Sets of packages by name, as import names."""


def languages() -> tuple[str, ...]:
    """Names of the languages whose toolchain is installed here."""
    return tuple(name for name, row in TABLE.items() if not row.tool or shutil.which(row.tool))


def look_up(name: str) -> tuple[Language, str]:
    """Return a row and the path of its tool.

    Raises:
        UnsupportedLanguage: There is no such row or its tool is missing.
    """
    row = TABLE.get(name)
    if row is None:
        raise UnsupportedLanguage(name, f"the table holds {', '.join(TABLE)}")
    path = shutil.which(row.tool) if row.tool else ""
    if path is None:
        raise UnsupportedLanguage(name, row.remedy)
    return row, path
