"""The python grader: ``grade(sample, item)`` in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reward_servers import ServiceError, StartupError
from reward_servers.verifiers.code import CodeSettings
from sandbox import CompileFailure, Exit, Limits, Program, SandboxError

_DRIVER = b"""
import json
names = load("grader")
given = json.loads(request.decode("utf-8", "surrogatepass"))
value = names["grade"](given["sample"], given["item"])
if not isinstance(value, (int, float)) and hasattr(value, "item"):
    value = value.item()
reply(json.dumps({"value": value if isinstance(value, (bool, int, float, type(None))) else repr(value)}).encode())
"""
_LIMITS = Limits(cpu_s=60.0, wall_s=120.0, memory_bytes=1 << 30)
_TAIL = 1500
_CANDIDATES = (Exit.CPU_LIMIT, Exit.MEMORY_LIMIT)


class BoundExceededError(Exception):
    """The program exceeded its time or memory over a response."""


class ProgramGrader:
    """A program in a sandbox of its own; used by one thread at a time."""

    def __init__(self, source: str, settings: CodeSettings) -> None:
        """Open the sandbox and compile.

        Raises:
            StartupError: This host cannot isolate programs, or the source is no program.
        """
        self._slots = settings.open_slots()
        program = Program("python", source.encode("utf-8", "surrogatepass"), driver=_DRIVER)
        try:
            prepared = self._slots.trusted.prepare(program, _LIMITS)
        except SandboxError as error:
            raise StartupError(f"python grader: {error}") from None
        if isinstance(prepared, CompileFailure):
            raise StartupError(f"python grader: the source is not a program: {prepared.message}")
        self._prepared = prepared

    def grade(self, sample: Mapping[str, Any], item: Mapping[str, Any]) -> Any:
        """What the program returned.

        Raises:
            BoundExceededError: It exceeded them over this response.
            ServiceError: It failed, or the sandbox did.
        """
        request = json.dumps({"sample": sample, "item": item}).encode()
        try:
            result = self._slots.trusted.run(self._prepared, limits=_LIMITS, request=request)
        except SandboxError as error:
            raise ServiceError(str(error), code="sandbox_failure", retryable=True) from None
        if result.ended in _CANDIDATES:
            raise BoundExceededError(result.ended.value)
        try:
            if not result.ok:
                raise ValueError
            returned = json.loads(result.reply)["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            errors = result.stderr.decode("utf-8", "replace")[-_TAIL:].strip() or "nothing on stderr"
            how = f"exit code {result.exit_code}" if result.ended is Exit.EXITED else result.ended.value
            raise ServiceError(f"the grader ended by {how}: {errors}", code="verifier_error") from None
        return returned

    def close(self) -> None:
        """Close the sandbox."""
        self._slots.close()
