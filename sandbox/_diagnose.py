"""What works on this host and what to do about the rest, for an operator's check before the server starts."""

from __future__ import annotations

import dataclasses
import statistics
import time

from sandbox._backends import open_sandbox
from sandbox._errors import SandboxError, SandboxUnavailableError
from sandbox._languages import PRELOADS, TABLE, look_up
from sandbox._ns._packages import Interpreter, locate, not_shown
from sandbox._types import Limits, Prepared, Program, SandboxConfig

_HELLO = Program("python", b"print(1)")
_RUNS = 7


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: `isolation`, `memory`, `backend NAME`, `language NAME` or `packages NAME`.
        ok: Whether all is well.
        detail: What was found.
        remedy: What to do about it, empty if nothing is needed.
    """

    subject: str
    ok: bool
    detail: str
    remedy: str = ""


def diagnose(config: SandboxConfig | None = None) -> tuple[Finding, ...]:
    """Open a sandbox as the server would, try it, and look for the toolchains.

    Nothing is raised for what is missing: each lack is a finding with its remedy.
    """
    config = config or SandboxConfig()
    interpreter = locate(config)
    return (*_isolation(config), *_backends(config), *_languages(interpreter), *_packages(interpreter))


def _isolation(config: SandboxConfig) -> list[Finding]:
    try:
        with open_sandbox(config=config) as sandbox:
            report = sandbox.report
    except SandboxError as error:
        return [Finding("isolation", False, *_lack(error))]
    is_whole = report.memory_bound != "per_process"
    return [
        Finding("isolation", True, f"{report.isolation}, {len(report.steps)} steps and canaries held"),
        Finding(
            "memory",
            True,
            f"bounded {'for a run as a whole' if is_whole else 'for each process of a run'} ({report.memory_bound})",
            "" if is_whole else "To bound the sum, delegate a cgroup with the memory controller to this user.",
        ),
    ]


def _backends(config: SandboxConfig) -> list[Finding]:
    """What each kind of isolation costs here; `isolation` says whether the chosen one works."""
    ways = [("ns", "")] + [("docker", runtime) for runtime in sorted({"runc", "runsc", config.docker_runtime})]
    findings = []
    for backend, runtime in ways:
        tried = dataclasses.replace(config, backend=backend, docker_runtime=runtime or config.docker_runtime)
        name = f"backend {backend}{runtime and f', {runtime}'}"
        try:
            findings.append(Finding(name, True, _cost(tried)))
        except SandboxError as error:
            findings.append(Finding(name, False, *_lack(error)))
    return findings


def _lack(error: SandboxError) -> tuple[str, str]:
    """What is wrong with a sandbox that did not open, and what to do about it."""
    if not isinstance(error, SandboxUnavailableError):
        return str(error), "Look at the cause named; this is a fault, not a setting."
    return f"step {error.step} failed" + (f": {error.detail}" if error.detail else ""), error.remedy


def _cost(config: SandboxConfig) -> str:
    """How long it takes to open one and to run the smallest program, in words.

    Raises:
        SandboxError: It does not work here.
    """
    started = time.perf_counter()
    with open_sandbox(config=config) as sandbox:
        opened = time.perf_counter() - started
        prepared = sandbox.prepare(_HELLO)
        assert isinstance(prepared, Prepared)
        times = []
        for _ in range(_RUNS):
            started = time.perf_counter()
            sandbox.run(prepared, limits=Limits())
            times.append(time.perf_counter() - started)
        report = sandbox.report
    cost = f"opens in {opened * 1000:.0f} ms, a run takes {statistics.median(times) * 1000:.1f} ms"
    return f"{cost}, memory bounded by {report.memory_bound}, processor time read from {report.cpu_clock}"


def _languages(interpreter: Interpreter) -> list[Finding]:
    findings = []
    for name in TABLE:
        try:
            _, path = look_up(name)
        except SandboxError:
            row = TABLE[name]
            findings.append(
                Finding(
                    f"language {name}", False, f"{', '.join((row.tool, *row.needs))}: not all installed", row.remedy
                )
            )
            continue
        if path and not interpreter.shows(path):
            findings.append(Finding(f"language {name}", False, f"{path} is not shown inside", not_shown(path)))
        else:
            findings.append(Finding(f"language {name}", True, path or "the interpreter of the sandbox"))
    return findings


def _packages(interpreter: Interpreter) -> list[Finding]:
    installed = interpreter.packages
    findings = []
    for name, packages in PRELOADS.items():
        missing = [package for package in packages if package not in installed]
        detail = f"{', '.join(missing)} not installed" if missing else ", ".join(packages)
        remedy = f"pip install {' '.join(missing)}" if missing else ""
        findings.append(Finding(f"packages {name}", not missing, detail, remedy))
    return findings
