"""A process that owns a sandbox, and is killed: `python -m tests.sandbox._owner`; prints `ready` when in a run."""

from __future__ import annotations

import subprocess
import sys
import threading

import sandbox


def main() -> None:
    """Run something endless."""
    box = sandbox.open_sandbox()
    prepared = box.prepare(sandbox.Program("python", b"import time\nopen('f', 'w').write('x')\ntime.sleep(600)"))
    assert isinstance(prepared, sandbox.Prepared)
    # A child that inherits everything must not keep the slot alive.
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(5)"], close_fds=False)
    threading.Timer(0.3, lambda: print("ready", flush=True)).start()
    box.run(prepared, limits=sandbox.Limits(wall_s=600))


if __name__ == "__main__":
    main()
