"""What is refused before anything runs, in whichever backend."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from sandbox._errors import ProgramRefusedError, UnsupportedLanguageError
from sandbox._languages import PRELOADS, TABLE, Language, look_up
from sandbox._ns._packages import Interpreter, locate, not_shown
from sandbox._types import Invocation, Limits, Program, SandboxConfig

_MAX_NAME = 255
_MAX_DEPTH = 16
_PAGE = 4096


def languages(config: SandboxConfig | None = None) -> tuple[str, ...]:
    """Names of the languages whose toolchain is installed here, where programs can see it.

    Args:
        config: how sandboxes are opened; None for the default.
    """
    interpreter = locate(config or SandboxConfig())
    names = []
    for name in TABLE:
        with contextlib.suppress(UnsupportedLanguageError):
            _usable(name, interpreter)
            names.append(name)
    return tuple(names)


def _usable(name: str, interpreter: Interpreter) -> tuple[Language, str]:
    """The row of a language, and its tool where programs can see it.

    Raises:
        UnsupportedLanguageError: It is not here.
    """
    language, tool = look_up(name)
    if tool and not interpreter.shows(tool):
        raise UnsupportedLanguageError(language.name, not_shown(tool))
    return language, tool


def admit(
    program: Program, limits: Limits | None, config: SandboxConfig, interpreter: Interpreter
) -> tuple[Language, str, Limits]:
    """Refuse what cannot be prepared here.

    Returns:
        The language, its tool ("" for Python) and the bounds of its building.

    Raises:
        UnsupportedLanguageError: Not here, or a driver or a preload set for a language that has none.
        ProgramRefusedError: A size or a name.
    """
    language, tool = _usable(program.language, interpreter)
    _check(program, language, config.source_bytes)
    bounds = limits or language.build_limits
    check_space(program, bounds)
    return language, tool, bounds


def _check(program: Program, language: Language, most: int) -> None:
    size = len(program.source) + sum(map(len, program.files.values()))
    if size > most:
        raise ProgramRefusedError(f"source and files have {size} bytes, more than the {most} accepted here")
    if program.preload is not None and program.preload not in PRELOADS:
        raise ProgramRefusedError(f"no preload set {program.preload!r}; there are: {', '.join(PRELOADS)}")
    if language.tool and (program.driver is not None or program.preload is not None):
        raise UnsupportedLanguageError(program.language, "drivers and preload sets exist for python only")
    own = {language.source_name(program.source), language.product} - {""}
    if clashing := own & program.files.keys():
        raise ProgramRefusedError(f"file name {min(clashing)!r} is that of the program itself")
    _check_names(program.files, own)


def _check_names(names: Iterable[str], own: Iterable[str]) -> None:
    """Refuse names that are no plain relative paths, or lie below others."""
    files = {*names, *own}
    for name in names:
        parts = name.split("/")
        if len(parts) > _MAX_DEPTH or not all(map(_is_plain, parts)):
            raise ProgramRefusedError(f"file name {name!r} is not a plain relative path")
        if any("/".join(parts[:depth]) in files for depth in range(1, len(parts))):
            raise ProgramRefusedError(f"file name {name!r} lies below another file")


def _is_plain(part: str) -> bool:
    try:
        encoded = part.encode()
    except UnicodeEncodeError:
        return False
    return part not in ("", ".", "..") and b"\0" not in encoded and len(encoded) <= _MAX_NAME


def check_space(program: Program, limits: Limits, given: Invocation | None = None) -> None:
    """Refuse a program whose own files do not fit into what a run may store, and names that no file can have.

    Raises:
        ProgramRefusedError: One of them.
    """
    files = dict(program.files)
    if given is not None:
        _check_names([*given.files, *([f"{given.keeps}/*"] if given.keeps else [])], files)
        files |= given.files
    sizes = (len(program.source), *map(len, files.values()))
    size = sum(-(-size_ // _PAGE) * _PAGE for size_ in sizes)
    if size > limits.disk_bytes or len(files) >= limits.files:
        raise ProgramRefusedError(f"source and files take {size} bytes, more than the run may store")
