"""Isolated execution of untrusted programs, as a library.

A `Sandbox` is one slot. `prepare` compiles a `Program` inside it, `run` executes it as often as wanted, each time in
fresh namespaces, and returns a `RunResult` that says what happened; `start` opens a `Session` with a running program.
What the program did is data, what failed on our side is an exception (`SandboxError` and its kinds).

    with sandbox.open_sandbox() as box:
        program = box.prepare(sandbox.Program("python", b"print(input()[::-1])"))
        if isinstance(program, sandbox.CompileFailure): ...
        result = box.run(program, stdin=b"abc", limits=sandbox.Limits(cpu_s=2))
"""

from sandbox._admission import languages
from sandbox._backends import open_sandbox
from sandbox._diagnose import Finding, diagnose
from sandbox._errors import (
    ProgramRefusedError,
    SandboxClosedError,
    SandboxError,
    SandboxInternalError,
    SandboxUnavailableError,
    UnsupportedLanguageError,
)
from sandbox._starvation import Attempt, settle
from sandbox._types import (
    CompileFailure,
    Exit,
    Invocation,
    IsolationReport,
    Limits,
    Prepared,
    Program,
    RunResult,
    Sandbox,
    SandboxConfig,
    Session,
    Step,
)

__all__ = [
    "Attempt",
    "CompileFailure",
    "Exit",
    "Finding",
    "Invocation",
    "IsolationReport",
    "Limits",
    "Prepared",
    "Program",
    "ProgramRefusedError",
    "RunResult",
    "Sandbox",
    "SandboxClosedError",
    "SandboxConfig",
    "SandboxError",
    "SandboxInternalError",
    "SandboxUnavailableError",
    "Session",
    "Step",
    "UnsupportedLanguageError",
    "diagnose",
    "languages",
    "open_sandbox",
    "settle",
]
