"""Start of the launcher: `python -S sandbox/_inside/__main__.py DESCRIPTOR`, a socket to the owner.

In a container: `python -S sandbox/_inside/__main__.py contained USER MANAGER`.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
# The package above belongs to the owner's side and is large: give it a name without executing it.
_package = type(sys)("sandbox")
_package.__path__ = [os.path.dirname(_HERE)]
sys.modules["sandbox"] = _package
sys.path[0] = "/tmp/box"  # noqa: S108 - where programs lie, behind the wall

from sandbox._inside import _contained, _launcher, _program  # noqa: E402 - needs the lines above

if __name__ == "__main__":
    _to_run = _contained.main() if sys.argv[1] == "contained" else _launcher.main()
    if _to_run is not None:
        _program.run(*_to_run)
