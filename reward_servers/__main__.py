"""``python -P -m reward_servers`` is the command ``assay``.

Servers run this way: their worker processes then start from a module of this package, not from a console script.
"""

from __future__ import annotations

import sys

from reward_servers.cli import main

if __name__ == "__main__":
    sys.exit(main())
