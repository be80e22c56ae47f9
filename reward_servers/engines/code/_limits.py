"""Limits of runs: what the reference asks for, bounded by what the server allows."""

from __future__ import annotations

import dataclasses
from typing import Any

from reward_servers.engines.code._errors import UnmeasuredLimitError
from reward_servers.engines.code._reader import Fields
from sandbox import Limits

_MIB = 1 << 20
_NAMES: dict[str, tuple[str, int]] = {
    "cpu_s": ("cpu_s", 1),
    "wall_s": ("wall_s", 1),
    "memory_mb": ("memory_bytes", _MIB),
    "stdout_bytes": ("stdout_bytes", 1),
    "stderr_bytes": ("stderr_bytes", 1),
    "disk_mb": ("disk_bytes", _MIB),
    "files": ("files", 1),
    "processes": ("processes", 1),
}


@dataclasses.dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits of one task.

    Attributes:
        run: Of each test.
        compile: Of the compilation, None for the sandbox's own defaults.
    """

    run: Limits = dataclasses.field(default_factory=Limits)
    compile: Limits | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Ceiling:
    """Settings of the operator.

    Attributes:
        largest: No reference may ask for more.
        default: What holds where a reference asks for nothing.
        compile: Limits of compilations, of which a reference may set the two times.
        tests: Most tests that one reference may hold.
        bounds_cpu: Whether a reference may set `cpu_s`. Where processor time is not measured only wall limits end a
            program, so that a bound on it would promise what does not hold.
    """

    largest: Limits = dataclasses.field(
        default_factory=lambda: Limits(
            cpu_s=60.0,
            wall_s=180.0,
            memory_bytes=4096 * _MIB,
            stdout_bytes=16 * _MIB,
            stderr_bytes=16 * _MIB,
            disk_bytes=512 * _MIB,
            files=100_000,
            processes=256,
            reply_bytes=16 * _MIB,
        )
    )
    default: Limits = dataclasses.field(default_factory=lambda: Limits(cpu_s=5.0, wall_s=20.0))
    compile: Limits = dataclasses.field(
        default_factory=lambda: Limits(cpu_s=20.0, wall_s=60.0, memory_bytes=1024 * _MIB, disk_bytes=128 * _MIB)
    )
    tests: int = 1000
    bounds_cpu: bool = True


def parse_limits(fields: Fields, ceiling: Ceiling) -> RunLimits:
    """Read `limits` of a reference.

    Raises:
        BadReferenceError: A limit is unknown, not positive, or above the server's.
        UnmeasuredLimitError: It bounds processor time where that is not measured.
    """
    limits = Fields(fields.take("limits", dict, {}), fields.path("limits"))
    if not ceiling.bounds_cpu and limits.has("cpu_s"):
        raise UnmeasuredLimitError(
            limits.path("cpu_s"),
            "is set, and this server's sandbox cannot measure processor time",
            "Run one with the backend ns, or docker with runc; or bound programs by wall_s alone, in the reference or "
            "by the setting unmeasured_cpu",
        )
    run: dict[str, Any] = {}
    for name, (field, unit) in _NAMES.items():
        default = getattr(ceiling.default, field) / unit
        largest = getattr(ceiling.largest, field) / unit
        value = limits.take(name, float, default) * unit
        _check(limits, name, value / unit, max(largest, default))
        run[field] = value if name.endswith("_s") else max(1, int(value))
    values: dict[str, Any] = {}
    for name, field in (("compile_cpu_s", "cpu_s"), ("compile_wall_s", "wall_s")):
        if limits.has(name):
            values[field] = limits.take(name, float)
            _check(limits, name, values[field], getattr(ceiling.largest, field))
        else:
            limits.take(name, float, 0.0)
    limits.done()
    compile_limits = dataclasses.replace(ceiling.compile, **values) if values else None
    return RunLimits(dataclasses.replace(ceiling.default, **run), compile_limits)


def _check(limits: Fields, name: str, value: float, largest: float) -> None:
    if value <= 0:
        raise limits.error(name, f"is {value:g}", "Give more than 0")
    if value > largest:
        raise limits.error(
            name, f"is {value:g}, above this server's {largest:g}", "Ask for less, or raise the server's"
        )
