"""Being `python main.py` in a process that was not started for it: set up, run and end as the interpreter does."""

from __future__ import annotations

import _thread
import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NamedTuple, NoReturn

from sandbox._inside import _channel, _rootfs

_FLUSH_FAILED = 120
_OURS = [
    "sandbox",
    "sandbox._inside",
    *(
        f"sandbox._inside.{name}"
        for name in ("_channel", "_child", "_contained", "_init", "_kernel", "_launcher", "_pipes")
    ),
    *(f"sandbox._inside.{name}" for name in ("_program", "_rootfs", "_seccomp", "_steps", "_wire", "_zygote")),
]


class Program(NamedTuple):
    """A program on its way up and out of everything that its process was doing, to run with an empty stack.

    Attributes:
        code: The compiled program.
        driver: What to run in its place.
        data: Use of the data descriptor: `none`, `request` or `session`.
    """

    code: CodeType
    driver: CodeType | None
    data: str


def run(code: CodeType, driver: CodeType | None, data: str) -> NoReturn:
    """Run a program to its end and leave the process. The arguments are the fields of `Program`."""
    status = 0
    try:
        if driver is None:
            exec(code, _new_module("__main__").__dict__)  # noqa: S102 - what this process is for
        else:
            exec(driver, _driver_names(code, data))  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - reported as the interpreter would
        # The first entry of the traceback is this function.
        status = _report(error.with_traceback(error.__traceback__ and error.__traceback__.tb_next))
    _leave(status)


def _driver_names(code: CodeType, data: str) -> dict[str, Any]:
    def load(name: str = "__main__") -> dict[str, Any]:
        module = _new_module(name)
        exec(code, module.__dict__)  # noqa: S102
        return module.__dict__

    names: dict[str, Any] = {"__name__": "__driver__", "__builtins__": __builtins__, "load": load}
    names.update(_channel.names(data))
    return names


def _new_module(name: str) -> ModuleType:
    module = ModuleType(name)
    path = f"{_rootfs.BOX}/main.py"
    module.__dict__.update(__file__=path, __builtins__=sys.modules["builtins"], __cached__=None)
    sys.modules[name] = module
    return module


def forget_ourselves() -> None:
    """Leave no trace of this package, and the arguments and module path of a script."""
    for name in _OURS:
        sys.modules.pop(name, None)
    sys.argv[:] = ["main.py"]
    sys.path[0] = _rootfs.BOX
    sys.path_importer_cache.pop(_rootfs.BOX, None)  # it did not exist when it was looked at first


def bound_thread_stacks(most: int) -> None:
    """Let programs ask for thread stacks of any size, as some do by habit, and give them no more than they may have.

    An interpreter of today needs little of a stack, but a reserved one counts as used.
    """
    set_size = _thread.stack_size

    def stack_size(size: int = 0, /) -> int:
        return set_size(min(size, most))

    _thread.stack_size = stack_size
    threading = sys.modules.get("threading")
    if threading is not None:
        threading.__dict__["stack_size"] = stack_size


def open_streams() -> None:
    """Open the standard streams as the interpreter does: they remember what kind of file they were opened on."""
    for name, descriptor, mode, errors in (
        ("stdin", 0, "rb", "surrogateescape"),
        ("stdout", 1, "wb", "surrogateescape"),
        ("stderr", 2, "wb", "backslashreplace"),
    ):
        buffer: Any = open(descriptor, mode, closefd=False)  # noqa: SIM115 - stays open as long as the process
        buffer.raw.name = f"<{name}>"
        newline = None if mode == "rb" else "\n"
        stream: Any = io.TextIOWrapper(buffer, "utf-8", errors, newline, line_buffering=descriptor == 2)
        stream.mode = mode[0]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _report(error: BaseException) -> int:
    """Say what ended the program, as the interpreter does, and return the exit code."""
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        _quietly(lambda: sys.stderr.write(f"{error.code}\n"))
        return 1
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:  # noqa: BLE001 - a hook of the program's own may do anything
        _quietly(lambda: sys.__excepthook__(type(error), error, error.__traceback__))
    if isinstance(error, KeyboardInterrupt):
        _quietly(sys.stderr.flush)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 1


def _quietly(action: Callable[[], object]) -> bool:
    try:
        action()
    # The program closed or replaced what is called here, which may raise anything; the interpreter ends all the same,
    # with a code of its own where output was lost.
    except BaseException:  # noqa: BLE001
        return False
    return True


def _flush() -> bool:
    done = True
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not getattr(stream, "closed", False):
            done = _quietly(stream.flush) and done
    return done


def _leave(status: int) -> NoReturn:
    """End as the interpreter ends: threads, exit handlers, streams, and what the program's globals held."""
    threading: Any = sys.modules.get("threading")
    if threading is not None:
        _quietly(threading._shutdown)
    _quietly(atexit._run_exitfuncs)
    flushed = _flush()
    for name in ("stdin", "stdout", "stderr"):
        setattr(sys, name, getattr(sys, f"__{name}__"))
    main = sys.modules.get("__main__")
    if main is not None:
        names = main.__dict__
        for private in (True, False):
            for name in list(names):
                if name != "__builtins__" and (name[:1] == "_" and name[:2] != "__") == private:
                    names[name] = None
    gc.collect()
    flushed = _flush() and flushed
    os._exit(status if flushed or status else _FLUSH_FAILED)
