"""Names of the languages: what the sandbox calls them, and what people write after three backticks."""

from __future__ import annotations

ALIASES: dict[str, frozenset[str]] = {
    "python": frozenset(("python", "python3", "py", "py3", "python2.7", "ipython", "cpython", "pypy", "pypy3")),
    "cpp": frozenset(("cpp", "c++", "cc", "cxx", "c++11", "c++14", "c++17", "c++20", "cpp17", "cpp20", "g++")),
    "c": frozenset(("c", "c11", "c99", "h")),
    "javascript": frozenset(("javascript", "js", "node", "nodejs", "mjs", "ecmascript")),
    "typescript": frozenset(("typescript", "ts", "tsx", "mts")),
    "java": frozenset(("java", "java8", "java11", "java17", "java21", "openjdk")),
    "go": frozenset(("go", "golang")),
    "rust": frozenset(("rust", "rs", "rustc")),
    "bash": frozenset(("bash", "sh", "shell", "zsh")),
}


def canonical(name: str) -> str | None:
    """Name that the sandbox uses for a language, or None if it is not a known one."""
    lowered = name.strip().lower()
    return next((language for language, names in ALIASES.items() if lowered in names), None)
