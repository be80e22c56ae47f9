from __future__ import annotations

from collections.abc import Iterator

import pytest

import sandbox
from sandbox import CompileFailure, Limits, Prepared, Program, RunResult, Sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with sandbox.open_sandbox() as opened:
        yield opened


class Runner:
    """Prepares and runs in one step."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    def prepare(self, source: str | bytes, language: str = "python", **fields: object) -> Prepared:
        source = source.encode() if isinstance(source, str) else source
        prepared = self.box.prepare(Program(language, source, **fields))  # type: ignore[arg-type]
        assert isinstance(prepared, Prepared), prepared
        return prepared

    def __call__(
        self,
        source: str | bytes,
        stdin: bytes = b"",
        language: str = "python",
        limits: Limits | None = None,
        request: bytes | None = None,
        **fields: object,
    ) -> RunResult:
        prepared = self.prepare(source, language, **fields)
        try:
            return self.box.run(prepared, stdin=stdin, limits=limits or Limits(cpu_s=5), request=request)
        finally:
            self.box.discard(prepared)

    def failure(self, source: str | bytes, language: str = "python", limits: Limits | None = None) -> CompileFailure:
        source = source.encode() if isinstance(source, str) else source
        made = self.box.prepare(Program(language, source), limits)
        assert isinstance(made, CompileFailure), made
        return made


@pytest.fixture
def run(box: Sandbox) -> Runner:
    return Runner(box)
