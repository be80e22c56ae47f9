"""Starts a server on each bad directory.

Usage: ``python -m tests.preference_bad``

Each is refused at the start in one line that holds the path and a remedy, or gives the items that meet the fault a
typed fault and every other item its score. Prints a line for each and ``passed/total`` last; exits 1 below 100 %.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from reward_servers.core import Fault, StartupError, Verdict, bind
from reward_servers.verifiers.preference import Preference
from tests.preference_bad import BAD, Bad
from tests.typed import declared
from tests.verifiers.harness import bench, rollout


async def what_is_wrong(bad: Bad, path: Path) -> str:
    """Start the verifier on a bad directory.

    Args:
        bad: How the directory is made and what must happen.
        path: Where to make it.

    Returns:
        What happened that should not; empty when all is as it must be.
    """
    bad.make(path)
    try:
        async with bench(bind(declared(Preference), {"path": str(path), **bad.settings})) as running:
            if not bad.fault:
                return "the server started"
            texts = ["w1 w2", "w150 w3", "w4"]
            outcomes = await running.outcomes(
                "preference", [rollout(text, prompt="w5", rollout_id=text) for text in texts]
            )
    except StartupError as error:
        said = str(error)
        if bad.fault:
            return f"refused: {said}"
        if "\n" in said or str(path) not in said or not re.search(bad.says, said):
            return f"said {said!r}"
        return ""
    good, broken, other = outcomes
    if not (isinstance(good, Verdict) and isinstance(other, Verdict)):
        return f"neighbours got {good} and {other}"
    return "" if isinstance(broken, Fault) and broken.code == bad.fault else f"the item got {broken}"


def main() -> int:
    """Try every directory; 1 when one of them is not met as it must be."""
    passed = 0
    for name, bad in BAD.items():
        with tempfile.TemporaryDirectory() as folder:
            wrong = asyncio.run(what_is_wrong(bad, Path(folder) / "model"))
        passed += not wrong
        print(f"{'FAIL' if wrong else 'ok  '} {name}{': ' if wrong else ''}{wrong}", flush=True)
    print(f"{passed}/{len(BAD)}")
    return 0 if passed == len(BAD) else 1


if __name__ == "__main__":
    sys.exit(main())
