"""``/run_code`` of SandboxFusion: programs run in our own sandbox, which isolates each."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from reward_servers.core import SettingsError
from reward_servers.gateway.body import read_as
from reward_servers.gateway.errors import HttpError, invalid
from reward_servers.gateway.json_codec import reply
from reward_servers.gateway.openapi import described
from reward_servers.gateway.scoring import Scoring, unless_gone
from sandbox import (
    CompileFailure,
    Exit,
    Limits,
    Program,
    ProgramRefusedError,
    RunResult,
    Sandbox,
    SandboxError,
    UnsupportedLanguageError,
    languages,
    open_sandbox,
)

_T = TypeVar("_T")
_NAMES = {"nodejs": "javascript", "node": "javascript", "js": "javascript", "python3": "python", "c++": "cpp"}
_SOURCE_IS_RUN = ("python", "javascript", "bash")
_OUT_OF_TIME = (Exit.CPU_LIMIT, Exit.WALL_LIMIT)
_KILLED = 137


class RunCodeBody(BaseModel):
    """A program and what it reads. `files` are Base64 by name."""

    code: str
    language: str = "python"
    stdin: str | None = ""
    compile_timeout: float = Field(default=10, gt=0, le=3600)
    run_timeout: float = Field(default=10, gt=0, le=3600)
    memory_limit_MB: int = Field(default=-1, ge=-1, le=1 << 20)
    files: dict[str, str | None] = Field(default_factory=dict)
    fetch_files: list[str] = Field(default_factory=list, max_length=0, description="Not served; must be empty.")


class RunPart(BaseModel):
    """How compiling or running ended."""

    status: Literal["Finished", "Error", "TimeLimitExceeded"]
    execution_time: float | None
    return_code: int | None
    stdout: str | None
    stderr: str | None


class RunCodeAnswer(BaseModel):
    """What the program did. A failure of ours is no answer but an HTTP error (504, which clients try again)."""

    status: Literal["Success", "Failed"]
    message: str
    compile_result: RunPart | None
    run_result: RunPart | None
    executor_pod_name: str | None
    files: dict[str, str]


BODIES: list[type[BaseModel]] = [RunCodeBody]


class Slots:
    """Sandboxes, each used by one program at a time."""

    def __init__(self, count: int) -> None:
        """Open them, and prove that they isolate.

        Raises:
            SettingsError: This host does not allow it; the message says what to do.
        """
        self._boxes: list[Sandbox] = []
        self._free: asyncio.Queue[Sandbox] = asyncio.Queue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="run-code")
        try:
            for _ in range(count):
                self._boxes.append(open_sandbox())
                self._free.put_nowait(self._boxes[-1])
        except SandboxError as error:
            self.close()
            raise SettingsError(f"run_code.slots: {error}") from None

    def close(self) -> None:
        """End what runs."""
        for box in self._boxes:
            box.close()
        self._threads.shutdown(cancel_futures=True)

    async def use(self, work: Callable[[Sandbox], _T]) -> _T:
        """Do work in the next free sandbox, which is given back when the work has ended, whoever still waits for it."""
        box = await self._free.get()
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, box)
        running.add_done_callback(lambda _: self._free.put_nowait(box))
        return await asyncio.shield(running)


def routes(scoring: Scoring, slots: Slots) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["sandbox"])
    available = languages()

    @router.post("/run_code", response_model=RunCodeAnswer, **described(RunCodeBody))
    async def run_code(request: Request) -> Response:
        """Run a program: `{code, language, stdin, run_timeout, ...}`."""
        body = await read_as(RunCodeBody, request, scoring.config)
        language = _NAMES.get(body.language.lower(), body.language.lower())
        if language not in available:
            raise invalid(f"{body.language!r} is not run here; there are {', '.join(available)}", "language")
        program = Program(language, body.code.encode("utf-8", "surrogatepass"), _files(body))
        settings = scoring.config.run_code
        memory = settings.max_memory_bytes
        if body.memory_limit_MB > 0:
            memory = min(memory, max(body.memory_limit_MB << 20, 16 << 20))
        seconds = min(body.run_timeout, settings.max_run_s)
        limits = Limits(cpu_s=seconds, wall_s=seconds, memory_bytes=memory)
        stdin = (body.stdin or "").encode("utf-8", "surrogatepass")

        def work(box: Sandbox) -> dict[str, Any]:
            return _run(box, program, limits, min(body.compile_timeout, settings.max_run_s), stdin)

        try:
            with scoring.hold(1):
                return reply(await unless_gone(request, asyncio.ensure_future(slots.use(work))))
        except ProgramRefusedError as error:
            raise invalid(str(error), "files") from None
        except (SandboxError, UnsupportedLanguageError) as error:
            raise HttpError(504, "sandbox_failed", f"the sandbox failed; try again: {error}") from None

    return router


def _files(body: RunCodeBody) -> dict[str, bytes]:
    files = {}
    for name, content in body.files.items():
        try:
            files[name] = base64.b64decode(content or "", validate=True)
        except binascii.Error:
            raise invalid("expected Base64", f"files.{name}") from None
    return files


def _run(box: Sandbox, program: Program, limits: Limits, compile_s: float, stdin: bytes) -> dict[str, Any]:
    building = replace(limits, cpu_s=compile_s, wall_s=compile_s, memory_bytes=max(limits.memory_bytes, 1 << 30))
    source_is_run = program.language in _SOURCE_IS_RUN
    prepared = box.prepare(program, None if source_is_run else building)
    if isinstance(prepared, CompileFailure):
        late = prepared.ended in _OUT_OF_TIME
        part = _part("TimeLimitExceeded" if late else "Finished", None, None if late else 1, "", prepared.message)
        # Where the source itself is run, a syntax error is what running it says.
        return _answer("Failed", *((None, part) if source_is_run else (part, None)))
    try:
        result = box.run(prepared, limits=limits, stdin=stdin)
    finally:
        box.discard(prepared)
    compiled = None if source_is_run else _part("Finished", None, 0, "", "")
    return _answer("Success" if result.ok else "Failed", compiled, _part_of(result), _run_problem(result))


def _part_of(result: RunResult) -> dict[str, Any]:
    if result.ended in _OUT_OF_TIME:
        status, code = "TimeLimitExceeded", None
    elif result.ended is Exit.EXITED:
        status, code = "Finished", result.exit_code
    else:
        status, code = "Finished", -result.signal if result.ended is Exit.SIGNALED and result.signal else _KILLED
    stdout, stderr = (data.decode("utf-8", "replace") for data in (result.stdout, result.stderr))
    return _part(status, result.wall_s, code, stdout, stderr)


def _run_problem(result: RunResult) -> str:
    return "" if result.ended in (Exit.EXITED, Exit.SIGNALED, *_OUT_OF_TIME) else result.ended.value


def _part(status: str, seconds: float | None, code: int | None, stdout: str, stderr: str) -> dict[str, Any]:
    return {"status": status, "execution_time": seconds, "return_code": code, "stdout": stdout, "stderr": stderr}


def _answer(status: str, compiled: Any, ran: Any, message: str = "") -> dict[str, Any]:
    return {
        "status": status, "message": message, "compile_result": compiled, "run_result": ran,
        "executor_pod_name": None, "files": {},
    }  # fmt: skip
