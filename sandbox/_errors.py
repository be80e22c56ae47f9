"""Every way in which the sandbox itself can fail. What a program did is never an exception, but a `RunResult`.

    SandboxError
    ├── SandboxUnavailableError    this host does not allow the isolation: nothing is run
    ├── SandboxInternalError       ours, while preparing or running; retryable; says nothing about the program
    ├── SandboxClosedError         `close()` was called, possibly by another thread in the middle of a run
    ├── UnsupportedLanguageError   no such row in the language table, or its toolchain is missing
    └── ProgramRefusedError        the request itself is unusable: a file name that leaves the box, a size over the cap

All of them survive pickling, because they cross process borders.
"""

from __future__ import annotations


class SandboxError(Exception):
    """Root of every error raised by this package."""


class SandboxUnavailableError(SandboxError):
    """The host does not allow full isolation, so nothing is run at all.

    Attributes:
        step: Name of the start-up step that failed, e.g. `user_namespace`.
        remedy: What the operator can do about it, one sentence.
        detail: What the kernel said.
    """

    def __init__(self, step: str, remedy: str, detail: str = "") -> None:
        super().__init__(step, remedy, detail)
        self.step = step
        self.remedy = remedy
        self.detail = detail

    def __str__(self) -> str:
        cause = f" ({self.detail})" if self.detail else ""
        return f"cannot isolate programs on this host: step {self.step} failed{cause}. {self.remedy}"


class SandboxInternalError(SandboxError):
    """The sandbox failed during a run. The program is not to blame and the same request may be sent again.

    Attributes:
        step: Where it failed.
        detail: What was seen.
    """

    def __init__(self, step: str, detail: str = "") -> None:
        super().__init__(step, detail)
        self.step = step
        self.detail = detail

    def __str__(self) -> str:
        return f"the sandbox failed at {self.step}" + (f": {self.detail}" if self.detail else "")


class SandboxClosedError(SandboxError):
    """The sandbox was closed before or during the call."""


class UnsupportedLanguageError(SandboxError):
    """The language is not offered here.

    Attributes:
        language: As asked for.
        remedy: What would make it available.
    """

    def __init__(self, language: str, remedy: str) -> None:
        super().__init__(language, remedy)
        self.language = language
        self.remedy = remedy

    def __str__(self) -> str:
        return f"language {self.language!r} is not available: {self.remedy}"


class ProgramRefusedError(SandboxError):
    """The program as sent cannot be run by any sandbox; nothing was started.

    Attributes:
        reason: Which rule it breaks.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
