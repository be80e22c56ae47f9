"""Runs the benchmarks one after another; each prints ratios measured side by side in its own run.

Usage: ``python -m benchmarks [NAME ...]``, with names of the table below; all of them without.
"""

from __future__ import annotations

import subprocess
import sys

_MATH = "tests/data/math/math_rollouts.jsonl"
_COMMANDS: dict[str, tuple[str, ...]] = {
    "step": ("benchmarks.step",),
    "overhead": ("benchmarks.server.overhead",),
    "saturation": ("benchmarks.server.saturation",),
    "scaling": ("benchmarks.scaling",),
    "plan": ("benchmarks.plan",),
    "memory": ("benchmarks.server.memory",),
    "alternatives": ("benchmarks.alternatives", _MATH),
    "client-cpu": ("benchmarks.client.cpu",),
    "client-submit": ("benchmarks.client.submit",),
    "client-processes": ("benchmarks.client.processes",),
    "client-imports": ("benchmarks.client.imports",),
    "client-memory": ("benchmarks.client.memory",),
    "math-accuracy": ("benchmarks.math.accuracy",),
    "math-rates": ("benchmarks.math.rates",),
    "math-hostile": ("benchmarks.math.hostile",),
    "signals": ("benchmarks.signals",),
    "code": ("benchmarks.code",),
    "sandbox": ("benchmarks.sandbox",),
    "verifiers": ("benchmarks.verifiers",),
    "judge": ("benchmarks.verifiers.judge",),
    "preference": ("benchmarks.preference",),
    "gateway": ("benchmarks.gateway",),
}


def main() -> int:
    """Run what was asked for; 1 when one of them failed, 2 for a name that does not exist."""
    names = sys.argv[1:] or list(_COMMANDS)
    unknown = [name for name in names if name not in _COMMANDS]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(_COMMANDS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names:
        print(f"== {name}", flush=True)
        failed |= subprocess.call([sys.executable, "-m", *_COMMANDS[name]])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
