"""Which files of the host's Python the programs may see."""

from __future__ import annotations

import dataclasses
import glob
import os
import sys
import sysconfig
from collections.abc import Mapping

from sandbox._types import SandboxConfig

# What the packages of the preload sets consist of and import, as named in a site-packages directory or by a pattern.
_SHOWN = (
    "numpy",
    "numpy.libs",
    "scipy",
    "scipy.libs",
    "pandas",
    "pandas.libs",
    "sympy",
    "isympy.py",
    "mpmath",
    "dateutil",
    "pytz",
    "tzdata",
    "six.py",
    "sortedcontainers",
    "duckdb",
    "_duckdb*.so",
    "duckdb-*.dist-info",
)
# Where a distribution keeps the settings without which a toolchain below /usr does not start.
_SETTINGS = "/etc/java-*-openjdk"
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")


@dataclasses.dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python for programs.

    Attributes:
        path: The real path of its executable.
        directories: Directories that it needs, shown where they are.
        packages: Name and place of the packages that programs may import.
        hidden: Directories with other packages, shown as empty.
    """

    path: str
    directories: tuple[str, ...]
    packages: Mapping[str, str]
    hidden: tuple[str, ...]

    def shows(self, path: str) -> bool:
        """Whether programs can see a file of the host."""
        real = os.path.realpath(path)
        return _is_system(real) or any(real.startswith(f"{place}/") for place in self.directories)


def not_shown(path: str) -> str:
    """What to do about a tool that programs cannot see."""
    return f"add the directory of {os.path.realpath(path)} to SandboxConfig.read_only"


def locate(config: SandboxConfig) -> Interpreter:
    """Find the interpreter and what belongs to it.

    An interpreter given by name is taken to lie in the `bin` directory of its installation.
    """
    path = os.path.realpath(config.python or getattr(sys, "_base_executable", None) or sys.executable)
    prefix = os.path.dirname(os.path.dirname(path))
    prefixes = {prefix} if config.python else {prefix, sys.base_prefix, sys.base_exec_prefix}
    hidden = {"/usr/lib/python3/dist-packages"}
    for base in (*prefixes, "/usr", "/usr/local"):
        library = f"{base}/lib"
        for name in _listdir(library):
            if name.startswith("python3"):
                hidden.update(f"{library}/{name}/{kind}" for kind in ("site-packages", "dist-packages"))
    places = [config.packages or sysconfig.get_path("purelib")]
    if config.packages is None and config.python is None:
        places += [place for place in sys.path if place.endswith("site-packages")]  # packages borrowed by a .pth file
    paths_by_pattern = {
        pattern: [path for place in places for path in glob.glob(f"{place}/{pattern}")] for pattern in _SHOWN
    }
    packages = {os.path.basename(paths[0]): paths[0] for paths in paths_by_pattern.values() if paths}
    directories = sorted(real for base in prefixes if not _is_system(real := os.path.realpath(base)))
    settings = glob.glob(_SETTINGS)
    visible_paths = (*directories, *settings, *map(os.path.realpath, config.read_only))
    return Interpreter(path, visible_paths, packages, tuple(sorted(filter(os.path.isdir, hidden))))


def _is_system(path: str) -> bool:
    return path == "/usr" or path.startswith(_SYSTEM)


def _listdir(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
