"""Looks at this host: packages, the sandbox, devices, ports."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from packaging.requirements import Requirement

from reward_servers.cli._errors import missing_library, unexpected

_DISTRIBUTION = "assay"
_REPORTED_EXTRAS = ("server", "math", "code", "format", "judge", "model")


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One thing that was looked for.

    Attributes:
        area: Such as ``"packages"`` or ``"sandbox"``.
        what: Its name.
        ok: Whether it is there.
        detail: What was found.
        remedy: What to do when it is not there.
        required: Whether a verifier that was named needs it.
    """

    area: str
    what: str
    ok: bool
    detail: str = ""
    remedy: str = ""
    required: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def examine(verifiers: Sequence[str], port: int = 0) -> list[DoctorFinding]:
    """Look for what verifiers need.

    Args:
        verifiers: Their names; with none, everything is looked for and nothing is required.
        port: A port that a server is to listen on; 0 for any.
    """
    all_areas = not verifiers
    extras = ["server", *_extras(verifiers)]
    reported = _REPORTED_EXTRAS if all_areas else tuple(dict.fromkeys(extras))
    findings = [_versions(), _grpc(required=not all_areas), *_packages(reported, required=not all_areas)]
    findings += [_verifier(name) for name in verifiers]
    # Every verifier that was named is loaded by now, and with it what it runs programs with.
    if all_areas or "sandbox" in sys.modules:
        findings += _sandbox(required=not all_areas)
    if all_areas or "model" in extras:
        findings.append(_device())
    return [*findings, _port(port, required=not all_areas)]


def _extras(verifiers: Sequence[str]) -> Iterator[str]:
    """What of this package's extras the named verifiers declare."""
    from reward_servers.core import installed

    for name, entry in installed().items():
        if name in verifiers and entry.distribution.startswith(f"{_DISTRIBUTION} "):
            yield from entry.extras


def _versions() -> DoctorFinding:
    version = platform.python_version()
    detail = f"Python {version} on {platform.system()} {platform.release()}, assay {_assay_version()}"
    ok = sys.version_info >= (3, 11)
    return DoctorFinding("host", "python", ok, detail, "" if ok else "install Python 3.11 or newer", True)


def _grpc(required: bool) -> DoctorFinding:
    """Whether grpc can be imported: it needs the C++ runtime of the system, which slim images lack."""
    try:
        import grpc
    except ImportError as error:
        remedy = missing_library(error) or f"pip install '{_DISTRIBUTION}[server]'"
        return DoctorFinding("host", "grpc", False, str(error), remedy, required)
    return DoctorFinding("host", "grpc", True, f"grpcio {grpc.__version__} can be imported", "", required)


def _assay_version() -> str:
    from reward_servers import __version__

    return __version__


def _packages(extras: Sequence[str], required: bool) -> Iterator[DoctorFinding]:
    """What each extra asks for beyond ``server``, as the installed metadata say."""
    shared = {requirement.name for requirement in _requirements("server")}
    for extra in extras:
        lacking = []
        packages = []
        for requirement in _requirements(extra):
            if extra != "server" and requirement.name in shared:
                continue
            have = _installed_version(requirement.name)
            if have is None or not requirement.specifier.contains(have, prereleases=True):
                lacking.append(f"{requirement.name}{requirement.specifier} ({have or 'not installed'})")
            else:
                packages.append(f"{requirement.name} {have}")
        detail = ("lacks " + ", ".join(lacking)) if lacking else ", ".join(packages)
        remedy = f"pip install '{_DISTRIBUTION}[{extra}]'" if lacking else ""
        yield DoctorFinding("packages", f"{_DISTRIBUTION}[{extra}]", not lacking, detail, remedy, required)


def _requirements(extra: str) -> Iterator[Requirement]:
    try:
        lines = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Requirement(_DISTRIBUTION)
        return
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == _DISTRIBUTION or requirement.marker is None:
            continue
        # Asked for with the extra and not without it: a requirement of this extra.
        if requirement.marker.evaluate({"extra": extra}) and not requirement.marker.evaluate({"extra": ""}):
            yield requirement


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _verifier(name: str) -> DoctorFinding:
    from reward_servers.core import AssayServerError, find, installed

    try:
        verifier = find(name)
    except AssayServerError as error:
        entry = installed().get(name)
        remedy = entry.remedy if entry is not None else "install the package that it comes with, or mend its name"
        return DoctorFinding("verifiers", name, False, str(error), remedy, True)
    except Exception as error:  # noqa: BLE001 - a module that breaks when it is imported is a finding
        return DoctorFinding("verifiers", name, False, unexpected(error), "mend the verifier's module", True)
    return DoctorFinding("verifiers", name, True, f"{verifier.name}@{verifier.version}, {verifier.path}", required=True)


def _sandbox(required: bool) -> Iterator[DoctorFinding]:
    """What programs are run with. Without isolation none is run; languages are needed only by tasks that use them."""
    import sandbox

    for finding in sandbox.diagnose():
        needed = required and finding.subject == "isolation"
        yield DoctorFinding("sandbox", finding.subject, finding.ok, finding.detail, finding.remedy, needed)


def _device() -> DoctorFinding:
    if importlib.util.find_spec("torch") is None:
        return DoctorFinding("device", "torch", False, "not installed", f"pip install '{_DISTRIBUTION}[model]'")
    import torch

    if not torch.cuda.is_available():
        return DoctorFinding(
            "device", "cuda", False, f"torch {torch.__version__} sees no CUDA device; models run on the CPU",
            "install a CUDA build of torch where there is a GPU",
        )  # fmt: skip
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return DoctorFinding("device", "cuda", True, f"torch {torch.__version__}, CUDA {torch.version.cuda}: {names}")


def _port(port: int, required: bool) -> DoctorFinding:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = "choose another port, or 0 for any free one"
            return DoctorFinding("network", f"port {port}", False, str(error.strerror), remedy, required)
        bound = probe.getsockname()[1]
    return DoctorFinding("network", "port", True, f"127.0.0.1:{bound} can be bound", "", required)
