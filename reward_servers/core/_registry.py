"""Finds verifiers: installed packages announce theirs by the entry-point group ``assay.verifiers``."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from packaging.requirements import Requirement

from reward_servers.core._errors import VerifierDefinitionError, VerifierNotFoundError
from reward_servers.core._verifier import Verifier

GROUP = "assay.verifiers"


@dataclass(frozen=True, slots=True)
class Entry:
    """An installed verifier, not loaded yet.

    Attributes:
        name: The name that it is announced under.
        path: Import path, ``module:name``.
        distribution: The package that it comes with, with its version.
    """

    name: str
    path: str
    distribution: str
    point: EntryPoint

    def lacking(self) -> list[str]:
        """What the extras of its entry point ask for and this host does not have.

        A verifier that imports such a package when it first needs it would start without it, and then fail on some
        items alone.
        """
        dist = self.point.dist
        if dist is None:
            return []
        requirements = [Requirement(line) for line in dist.requires or ()]
        return [
            f"{requirement.name}{requirement.specifier} ({_version_of(requirement.name) or 'not installed'})"
            for requirement in requirements
            if requirement.marker is not None
            and any(requirement.marker.evaluate({"extra": extra}) for extra in self.point.extras)
            and not requirement.marker.evaluate({"extra": ""})
            # Of itself: another of its extras, whose packages are listed on their own.
            and requirement.name != dist.name
            and not _has(requirement)
        ]

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras of its package that it needs."""
        return tuple(self.point.extras)

    @property
    def remedy(self) -> str:
        """What installs what it needs."""
        if self.extras and self.point.dist is not None:
            return f"pip install '{self.point.dist.name}[{','.join(self.extras)}]'"
        return f"install {self.distribution} again, and what {self.path} imports"

    def load(self) -> Verifier:
        """Import the verifier.

        Raises:
            VerifierNotFoundError: A package that the verifier needs is missing, or the path leads nowhere.
            VerifierDefinitionError: What is there is not a verifier of that name.
        """
        lacking = self.lacking()
        if lacking:
            raise VerifierNotFoundError(f"{self.name} needs {', '.join(lacking)}; install it with: {self.remedy}")
        try:
            loaded = self.point.load()
        except ImportError as error:
            raise VerifierNotFoundError(
                f"{self.name} cannot be imported: {error}; install what it needs (`assay doctor` names the command)"
            ) from error
        except Exception as error:  # a package that breaks at import, whatever way
            raise VerifierNotFoundError(f"{self.name}: {self.path} cannot be loaded: {error!r}") from error
        if not isinstance(loaded, Verifier) or loaded.name != self.name:
            raise VerifierDefinitionError(
                f"{self.path} is announced as {self.name!r} but is not a verifier of that name"
            )
        return loaded


def installed() -> dict[str, Entry]:
    """Every announced verifier by name.

    Raises:
        VerifierDefinitionError: Two packages announce the same name.
    """
    entries: dict[str, Entry] = {}
    for point in entry_points(group=GROUP):
        distribution = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "unknown"
        entry = Entry(point.name, f"{point.module}:{point.attr}", distribution, point)
        earlier = entries.get(point.name)
        if earlier is not None and earlier.path != entry.path:
            raise VerifierDefinitionError(
                f"{point.name!r} is announced by {earlier.distribution} and by {entry.distribution}; uninstall one"
            )
        entries[point.name] = entry
    return dict(sorted(entries.items()))


def find(name: str) -> Verifier:
    """Load a verifier by name, by ``module:name`` for one that no package announces, or by an address with a style.

    Raises:
        VerifierNotFoundError: It is not installed, or cannot be imported.
        VerifierDefinitionError: What is at the address cannot be served.
    """
    if ":" in name or "+" in name:
        from reward_servers.core._bound import load_path

        try:
            return load_path(name)
        except ImportError as error:
            raise VerifierNotFoundError(f"{name} cannot be imported: {error}; {_import_remedy(name, error)}") from error
    entry = installed().get(name)
    if entry is None:
        near = get_close_matches(name, installed(), n=3)
        hint = f" Did you mean {', '.join(map(repr, near))}?" if near else ""
        raise VerifierNotFoundError(
            f"no verifier {name!r} is installed.{hint} `assay list` shows those that are. Install a verifier's package "
            "with `python -m pip install -e FOLDER`, again after you add an entry point; name a verifier without a "
            "package as module:attribute"
        )
    return entry.load()


def _import_remedy(path: str, error: ImportError) -> str:
    module = path.partition(":")[0]
    if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
        return "modules are found in the working directory, beside a recipe, and where packages are installed"
    return f"install what {module} imports"


def _has(requirement: Requirement) -> bool:
    have = _version_of(requirement.name)
    return have is not None and requirement.specifier.contains(have, prereleases=True)


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
