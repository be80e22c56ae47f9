"""Looks at this host: packages, isolation, toolchains, devices, ports."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from packaging.requirements import Requirement

__all__ = ["Finding", "examine"]

_DISTRIBUTION = "assay"
_EXTRA_OF = {
    "math": "math",
    "code": "code",
    "format": "format",
    "judge": "judge",
    "rubric": "judge",
    "preference": "model",
}
"""The extra that each of our own verifiers needs beyond ``server``."""
_REPORTED_EXTRAS = ("server", "math", "code", "format", "judge", "model")
_DEBIAN = {"c": "gcc", "cpp": "g++", "javascript": "nodejs", "bash": "bash"}
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    Attributes:
        area: Such as ``"packages"`` or ``"isolation"``.
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


def examine(verifiers: Sequence[str], port: int = 0) -> list[Finding]:
    """Looks for what verifiers need.

    Args:
        verifiers: Their names; with none, everything is looked for and nothing is required.
        port: A port that a server is to listen on; 0 for any.
    """
    extras = {"server"} | {_EXTRA_OF[name] for name in verifiers if name in _EXTRA_OF} if verifiers else set()
    findings = [_versions(), *_packages(extras)]
    findings += [_verifier(name) for name in verifiers]
    if not verifiers or "code" in verifiers:
        findings += [_isolation(required="code" in verifiers), *_toolchains()]
    if not verifiers or "preference" in verifiers:
        findings.append(_device())
    findings.append(_port(port, required=bool(verifiers)))
    return findings


def _versions() -> Finding:
    version = platform.python_version()
    detail = f"Python {version} on {platform.system()} {platform.release()}, assay {_assay_version()}"
    return Finding("host", "python", sys.version_info >= (3, 11), detail, "install Python 3.11 or newer", True)


def _assay_version() -> str:
    from reward_servers import __version__

    return __version__


def _packages(required: set[str]) -> Iterator[Finding]:
    """What each extra asks for, as the installed metadata say."""
    for extra in _REPORTED_EXTRAS:
        lacking = []
        found = []
        for wanted in _requirements(extra):
            have = _installed_version(wanted.name)
            if have is None or not wanted.specifier.contains(have, prereleases=True):
                lacking.append(f"{wanted.name}{wanted.specifier} ({have or 'not installed'})")
            else:
                found.append(f"{wanted.name} {have}")
        detail = ("lacks " + ", ".join(lacking)) if lacking else ", ".join(found)
        remedy = f"pip install '{_DISTRIBUTION}[{extra}]'" if lacking else ""
        yield Finding("packages", f"{_DISTRIBUTION}[{extra}]", not lacking, detail, remedy, extra in required)


def _requirements(extra: str) -> Iterator[Requirement]:
    try:
        lines = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        yield Requirement(_DISTRIBUTION)
        return
    for line in lines:
        wanted = Requirement(line)
        named = _EXTRA.search(line)
        if named is None or named[1] != extra or wanted.name == _DISTRIBUTION:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
            yield wanted


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _verifier(name: str) -> Finding:
    from reward_servers.core import AssayServerError, find

    try:
        found = find(name)
    except AssayServerError as error:
        return Finding("verifiers", name, False, str(error), "install the package that it comes with", True)
    return Finding("verifiers", name, True, f"{found.name}@{found.version}, {found.path}", required=True)


def _isolation(required: bool) -> Finding:
    import sandbox

    try:
        with sandbox.open_sandbox() as box:
            report = box.report
    except sandbox.SandboxUnavailable as error:
        return Finding("isolation", error.step, False, error.detail, error.remedy, required)
    except sandbox.SandboxError as error:
        return Finding("isolation", "sandbox", False, str(error), "run `assay doctor` again", required)
    detail = (
        f"{report.isolation}; memory {report.memory_bound}, processes {report.pids_bound}, "
        f"CPU time {report.cpu_clock}; {sum(step.ok for step in report.steps)} of {len(report.steps)} steps hold"
    )
    return Finding("isolation", "sandbox", True, detail, "", required)


def _toolchains() -> Iterator[Finding]:
    """Languages other than Python are needed only by tasks that use them."""
    import sandbox

    known = sandbox.languages()
    for language, package in _DEBIAN.items():
        there = language in known
        yield Finding(
            "toolchains", language, there, "installed" if there else "", "" if there else f"apt-get install {package}"
        )


def _device() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("device", "torch", False, "not installed", f"pip install '{_DISTRIBUTION}[model]'")
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "device", "cuda", False, f"torch {torch.__version__} sees no CUDA device; models run on the CPU",
            "install a CUDA build of torch where there is a GPU",
        )  # fmt: skip
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    return Finding("device", "cuda", True, f"torch {torch.__version__}, CUDA {torch.version.cuda}: {names}")


def _port(port: int, required: bool) -> Finding:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = "choose another port, or 0 for any free one"
            return Finding("network", f"port {port}", False, str(error.strerror), remedy, required)
        bound = probe.getsockname()[1]
    return Finding("network", "port", True, f"127.0.0.1:{bound} can be bound", "", required)
