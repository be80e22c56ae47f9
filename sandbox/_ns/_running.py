"""A run in progress as its owner drives it: streams, clocks, limits, and the account of it at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable

from sandbox._errors import SandboxClosedError, SandboxInternalError
from sandbox._inside import _wire
from sandbox._languages import Language
from sandbox._ns._meter import Meter
from sandbox._ns._streams import FileStream, Stream, Trickle
from sandbox._ns._zygote import Child, Zygote
from sandbox._types import Exit, Limits, RunResult

_SHORTEST_CHECK_S = 0.01
_LONGEST_CHECK_S = 0.25
"""Tasks that wait in turns are told from tasks that wait for each other within such a time only."""
_LOOK_S = 0.05
"""How often the size of an output that goes to a file is looked at."""
_DEATH_S = 30.0
_SHORT_RUN_S = 0.005
"""After this time the next process is made beside a run, which it would hold up before."""
_TAIL = 4096


@dataclasses.dataclass(slots=True)
class Endpoints:
    """The owner's ends of a run's descriptors.

    Attributes:
        stdout: Reading end of a pipe, or a file.
        stderr: The same.
        data: Data descriptor, None if the program has none.
    """

    stdout: int
    stderr: int
    data: socket.socket | None

    def close(self) -> None:
        """Close them all."""
        os.close(self.stdout)
        os.close(self.stderr)
        if self.data is not None:
            self.data.close()


class Running:
    """Drives one run until it has ended."""

    def __init__(
        self,
        child: Child,
        meter: Meter,
        ends: Endpoints,
        limits: Limits,
        language: Language,
        wake: int,
        zygote: Zygote,
        wall_factor: float,
    ) -> None:
        """Take over a run that has just got its job.

        Args:
            child: The run.
            meter: Its clocks, started.
            ends: Our ends of its descriptors; closed by `close`.
            limits: What it may use.
            language: Row of its language.
            wake: Descriptor that becomes readable when the slot is closed by another thread.
            zygote: Where the child came from, and the next one is made.
            wall_factor: How many times its wall limit may pass on the clock before the limit ends it, because a probe
                has shown that the host is so much slower.
        """
        self._child = child
        self._zygote = zygote
        self._meter = meter
        self._ends = ends
        self._limits = limits
        self._language = language
        self._wake = wake
        self._wall_factor = wall_factor
        self._exceeded: Exit | None = None
        self._doubtful = False
        self._wall_s: float | None = None
        self._killed = False
        self._products: list[int] = []
        self._left: bytes | None = None
        self._report: tuple[int, float, int] | None = None
        self._ended = False
        self._to_send = memoryview(b"")
        self._trickle = Trickle()
        output = Stream if language.waits_for_reader else FileStream
        self.stdout = output(ends.stdout, limits.stdout_bytes)
        self.stderr = output(ends.stderr, limits.stderr_bytes)
        self.reply = Stream(ends.data.fileno() if ends.data else -1, limits.reply_bytes)
        self._streams = {stream.descriptor: stream for stream in (self.stdout, self.stderr)}
        if ends.data is not None:
            self._streams[self.reply.descriptor] = self.reply
        self._poll = select.poll()
        for descriptor, stream in self._streams.items():
            if not isinstance(stream, FileStream):
                self._poll.register(descriptor, select.POLLIN)
        for source in (child.pidfd, child.sock, wake):
            self._poll.register(source, select.POLLIN)
        self._processors = min(len(os.sched_getaffinity(0)), limits.processes)
        started = time.monotonic()
        self._next_check = started + self._check_after(limits.cpu_s, limits.wall_s)
        self._look_at = math.inf if language.waits_for_reader else started + _LOOK_S
        self._spare_at = started + _SHORT_RUN_S

    def _check_after(self, cpu_left: float, wall_left: float) -> float:
        """Seconds in which no limit can be reached, as far as the clocks need not be read before."""
        return max(_SHORTEST_CHECK_S, min(cpu_left / self._processors, wall_left, _LONGEST_CHECK_S))

    @property
    def ended(self) -> bool:
        """Whether all processes of the run are gone."""
        return self._ended

    @property
    def doubtful(self) -> bool:
        """Whether the wall limit ended it and the kernel's account of its tasks leaves open who is to blame."""
        return self._doubtful

    @property
    def late(self) -> bool:
        """Whether the wall limit ended it."""
        return self._exceeded is Exit.WALL_LIMIT

    @property
    def wall_s(self) -> float:
        """Elapsed time until it ended or was ended, less what other processes are known to have taken."""
        return self._meter.wall_s if self._wall_s is None else self._wall_s

    @property
    def clocks(self) -> tuple[float, float, float]:
        """Elapsed time; the same less what others have taken; the same less all waits for a processor."""
        return self._meter.elapsed_s, self.wall_s, self._meter.least_wall_s

    @property
    def stalled_s(self) -> float:
        """How long the host stood still meanwhile."""
        return self._meter.stalled_s

    def feed(self, data: bytes, *, last: bool) -> None:
        """Send bytes over the data descriptor while reading what comes back.

        Raises:
            EOFError: The program is not there to read them.
        """
        sock = self._ends.data
        if sock is None or self._ended or not self.reply.open:
            raise EOFError("the program has no data descriptor or has ended")
        self._to_send = memoryview(data)
        self._poll.modify(sock, select.POLLIN | select.POLLOUT)
        self.drive(lambda: not self._to_send)
        if self._to_send:
            raise EOFError("the program ended before it had read everything")
        if last:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)

    def drive(self, until: Callable[[], bool], timeout_s: float | None = None) -> bool:
        """Serve the run until a condition holds or it has ended.

        Returns:
            False if `timeout_s` has passed before.

        Raises:
            SandboxClosedError: The slot was closed meanwhile.
            SandboxInternalError: The run could not be ended.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ended and not until():
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                return False
            self._trickle.let_gather()
            wait = min(self._next_check, self._spare_at, self._look_at, deadline or math.inf) - now
            self._serve(self._meter.wait(self._poll, wait))
            now = time.monotonic()
            if now >= self._spare_at:
                self._spare_at = math.inf
                self._zygote.request_spares()
            if now >= self._look_at:
                self._look_at = now + _LOOK_S
                if not self._killed and any(stream.overflows() for stream in self._streams.values()):
                    self._end(Exit.OUTPUT_LIMIT)
            if now >= self._next_check:
                self._check()
        return True

    def _serve(self, events: list[tuple[int, int]]) -> None:
        for descriptor, event in events:
            if descriptor == self._wake:
                raise SandboxClosedError("the sandbox was closed during the run")
            if descriptor == self._child.pidfd:
                self._ended = True
                self._drain_frames()
                continue
            if descriptor == self._child.sock.fileno():
                self._read_frame()
                continue
            if event & select.POLLOUT:
                self._write()
            if event & ~select.POLLOUT:
                self._read(self._streams[descriptor])
        if self._ended:
            for stream in self._streams.values():
                stream.drain()

    def _read_frame(self) -> None:
        """Take one word of the init's."""
        try:
            letter, payload, descriptors = _wire.receive_frame(self._child.sock)
        except (OSError, EOFError, ValueError):
            self._poll.unregister(self._child.sock)  # its end will tell
            return
        self._products += descriptors
        if letter == _wire.FAILED:
            raise SandboxInternalError("job", payload.replace(b"\0", b": ").decode("utf-8", "replace"))
        if letter == _wire.LEFT:
            self._left = payload
        if letter == _wire.ENDED and len(payload) == _wire.END_REPORT.size:
            status, user, system, largest = _wire.END_REPORT.unpack(payload)
            self._report = (status, user + system, largest * 1024)
            # All but the init is gone, and that is on its way out.
            self._ended = True

    def _drain_frames(self) -> None:
        """Take what the init had said before it ended."""
        self._child.sock.settimeout(0)
        poll = select.poll()
        poll.register(self._child.sock, select.POLLIN)
        while self._report is None and any(event & select.POLLIN for _, event in poll.poll(0)):
            try:
                if not self._child.sock.recv(1, socket.MSG_PEEK):
                    return
            except OSError:
                return
            self._read_frame()

    def _read(self, stream: Stream) -> None:
        stream.read()
        if stream.was_full:
            self._meter.note_full_pipe()
        if stream is not self.reply:
            self._trickle.note(stream)
        if not stream.open:
            self._poll.unregister(stream.descriptor)
        elif stream.truncated:
            self._poll.unregister(stream.descriptor)
            self._end(Exit.OUTPUT_LIMIT)

    def _write(self) -> None:
        sock = self._ends.data
        assert sock is not None
        try:
            self._to_send = self._to_send[sock.send(self._to_send, socket.MSG_NOSIGNAL) :]
            finished = not self._to_send
        except BlockingIOError:
            return
        except OSError:  # the program closed its end; that is its affair
            self._to_send = memoryview(b"")
            finished = True
        if finished and self.reply.open:
            self._poll.modify(sock, select.POLLIN)

    def _check(self) -> None:
        """Compare the clocks with the limits."""
        if self._killed:
            raise SandboxInternalError("kill", "a run did not end although it was killed")
        limits, meter = self._limits, self._meter
        meter.sample()
        if meter.cpu_s > limits.cpu_s:
            self._end(Exit.CPU_LIMIT)
        elif meter.wall_limit_reached(limits.wall_s, self._wall_factor):
            self._end(Exit.WALL_LIMIT)
        else:
            left = self._check_after(limits.cpu_s - meter.cpu_s, limits.wall_s - meter.wall_s)
            self._next_check = time.monotonic() + left

    def _end(self, why: Exit) -> None:
        if self._exceeded is None:
            self._meter.sample()
            self._exceeded = why
            self._doubtful = why is Exit.WALL_LIMIT and self._meter.doubts(self._limits.wall_s)
            self._wall_s = self._meter.wall_s
        self.kill()

    def kill(self) -> None:
        """End the run; `drive` notices."""
        self._killed = True
        self._next_check = time.monotonic() + _DEATH_S
        self._child.kill()

    def result(self) -> RunResult:
        """Account for a run that has ended.

        Raises:
            SandboxInternalError: It was taken from us; nothing can be said about the program.
        """
        status, cpu, largest = self._report or (None, 0.0, None)
        if status == _wire.DISTURBED and not self._killed:
            raise SandboxInternalError(
                "run", "a signal from outside, such as one to all processes, has reached the program"
            )
        group = self._child.group
        cpu = self._meter.final_cpu(cpu)
        # A program that ended well is none that memory ended, whatever became of its children.
        killed_for_memory = status != 0 and group is not None and group.killed_for_memory()
        if status is None and not self._killed and not killed_for_memory:
            raise SandboxInternalError("init", "the first process of the run vanished")
        code = os.waitstatus_to_exitcode(status) if status is not None else -int(signal.SIGKILL)
        ended = self._exit_of(code, cpu, killed_for_memory)
        peak = group.peak_bytes() if group is not None else None
        left = self._left or b""
        return RunResult(
            ended=ended,
            exit_code=code if ended is Exit.EXITED else None,
            signal=-code if ended is Exit.SIGNALED else None,
            stdout=bytes(self.stdout.data),
            stderr=bytes(self.stderr.data),
            reply=bytes(self.reply.data),
            stdout_truncated=self.stdout.truncated,
            stderr_truncated=self.stderr.truncated,
            reply_truncated=self.reply.truncated or left == _wire.TOO_LARGE,
            cpu_s=cpu,
            wall_s=self._meter.wall_s,
            elapsed_s=self._meter.elapsed_s,
            peak_memory_bytes=peak if peak is not None else largest,
            files=_wire.unpack_files(left),
        )

    def _exit_of(self, code: int, cpu: float, killed_for_memory: bool) -> Exit:
        if any(stream.truncated for stream in self._streams.values()):
            return Exit.OUTPUT_LIMIT
        if code != 0 and (killed_for_memory or self._reports_out_of_memory()):
            return Exit.MEMORY_LIMIT
        if cpu > self._limits.cpu_s or code == -signal.SIGXCPU:
            return Exit.CPU_LIMIT
        if self._exceeded is not None:
            return self._exceeded
        if code == -signal.SIGXFSZ:
            return Exit.DISK_LIMIT
        return Exit.EXITED if code >= 0 else Exit.SIGNALED

    def _reports_out_of_memory(self) -> bool:
        """Whether its last words are those of a program of this language that ran out of memory."""
        if self._exceeded is not None:
            return False
        signs = self._language.out_of_memory
        tail = bytes(self.stderr.data[-_TAIL:])
        if self._language.tool:
            return any(sign in tail for sign in signs)
        last = tail.rstrip().rpartition(b"\n")[2]
        return last.partition(b":")[0] in signs

    def product(self) -> int | None:
        """Descriptor of what a compiler made, after `result`; closed by `close`."""
        return self._products[0] if self._products else None

    def end_input(self) -> None:
        """Let the program read the end of the data descriptor."""
        if self._ends.data is not None:
            with contextlib.suppress(OSError):  # it has closed its end already
                self._ends.data.shutdown(socket.SHUT_WR)

    def refuse_reply(self) -> None:
        """End the run because one message is larger than its limit."""
        self.reply.truncated = True
        self._end(Exit.OUTPUT_LIMIT)

    def request_spares(self) -> None:
        """Have the next process be made like this one's."""
        self._zygote.request_spares()

    def close(self) -> None:
        """End what still runs and close everything that belongs to the run."""
        for descriptor in self._products:
            os.close(descriptor)
        self._products = []
        if self._ended:
            self._zygote.reclaim(self._child)
        else:
            self._child.close()
        self._ends.close()
