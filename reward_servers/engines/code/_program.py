"""A submission as a program of the sandbox: its source, and the driver that runs beside it."""

from __future__ import annotations

from reward_servers.engines.code._checker import preload_for
from reward_servers.engines.code._guest import driver_source
from reward_servers.engines.code._prelude import prelude_driver
from reward_servers.engines.code._spec import CallTests, CodeTests, InteractiveTests, StdioTests, TestSpec
from sandbox import Program

_CALLS = ("calling", "calls")
_TALKS = ("calling", "files", "borrowed", "session", "candidate")
_FUTURE = b"from __future__ import annotations\n"


def as_program(source: bytes, spec: TestSpec, *, talks: bool = False) -> Program:
    """What is prepared for a submission.

    Args:
        source: Its text.
        spec: The reference of its task.
        talks: Whether test code is going to talk to it; else it is only called.
    """
    if spec.language != "python":
        return Program(language=spec.language, source=source)
    return Program("python", source, preload=preload_for(source), driver=_driver(source, spec, talks=talks))


def _driver(source: bytes, spec: TestSpec, *, talks: bool) -> bytes | None:
    tests = spec.tests
    if isinstance(tests, StdioTests | InteractiveTests):
        if spec.prelude in ("auto", "none"):
            return None
        return _FUTURE + prelude_driver(spec.prelude, source, nodes=False) + b"\nload('__main__')\n"
    nodes = (isinstance(tests, CallTests) and any(tests.types)) or (
        isinstance(tests, CodeTests) and _speaks_of_nodes(tests)
    )
    prelude = prelude_driver(spec.prelude, source, nodes=nodes)
    driver = driver_source(*(_TALKS if talks else _CALLS))
    return _FUTURE + prelude + driver.removeprefix(_FUTURE) if prelude else driver


def _speaks_of_nodes(tests: CodeTests) -> bool:
    return any(name in tests.code for name in ("ListNode", "TreeNode", "list_node", "tree_node"))
