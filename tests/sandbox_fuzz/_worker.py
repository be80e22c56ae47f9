"""Judges hostile and honest programs side by side: `... _worker DESCRIPTOR RUNS SEED PAIRS`, a JSON line for each run.

Started as root or as a user, see `tests.attacks._people`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random

import sandbox
from reward_servers.engines.code import Slots, Submission, judge, parse_reference
from sandbox import SandboxConfig
from tests.attacks._host import settled, stable
from tests.sandbox_fuzz._programs import Case, honest, hostile

_SETTLE_S = 10.0


def _verdict(case: Case, slots: Slots) -> tuple[str, str]:
    """What it is judged as, and why; `fault` if it is not."""
    try:
        judgement = judge(Submission(case.source), parse_reference(case.reference()), slots)
    except Exception as error:  # noqa: BLE001 - each is what is looked for
        return "fault", f"{error}\n{traceback.format_exc()[-1500:]}"
    return judgement.verdict.value, f"{judgement.message} {judgement.results!r}"[:1500]


class Pair:
    """Two sets of slots, used by turns of one hostile and one honest program at once."""

    def __init__(self, config: SandboxConfig) -> None:
        self._opened = [Slots(partial(sandbox.open_sandbox, config=config)) for _ in range(2)]
        self._beside = ThreadPoolExecutor(1)

    def run(self, seed: int) -> dict[str, object]:
        """One run; the seed makes both programs."""
        rng = Random(seed)
        bad, good = hostile(rng), honest(rng, frozenset(sandbox.languages()))
        beside = self._beside.submit(_verdict, bad, self._opened[0])
        good_verdict, good_reason = _verdict(good, self._opened[1])
        bad_verdict, bad_reason = beside.result()
        row: dict[str, object] = {"seed": seed, "verdict": bad_verdict, "honest": good_verdict, "name": good.name}
        if bad_verdict in ("fault", "accepted"):
            row |= {"source": bad.source, "reason": bad_reason}
        if good_verdict != "accepted":
            row |= {"source": bad.source, "reason": good_reason}
        return row

    def open(self) -> None:
        """Open the slots, so that what is counted does not change by it."""
        for slots in self._opened:
            slots.program  # noqa: B018

    def uids(self) -> set[int]:
        """Users of the host behind the programs."""
        return {int(slots.program.report.uid_map.rpartition(">")[2]) for slots in self._opened}

    def close(self) -> None:
        """End both."""
        self._beside.shutdown()
        for slots in self._opened:
            slots.close()


def main() -> None:
    """Run all and report each; the last line says what is left on the host."""
    descriptor, runs, seed, count = map(int, sys.argv[1:])
    config = SandboxConfig(python=sys.executable, packages=os.environ.pop("ATTACKS_PACKAGES", None), recycle_s=1e9)
    pairs = [Pair(config) for _ in range(count)]
    for pair in pairs:
        pair.open()
    uids = frozenset().union(*(pair.uids() for pair in pairs))
    before = stable(uids)
    seeds = iter(range(seed, seed + runs))
    lock = threading.Lock()
    with os.fdopen(descriptor, "w") as out:

        def work(pair: Pair) -> None:
            while True:
                with lock:
                    number = next(seeds, None)
                if number is None:
                    return
                row = pair.run(number)
                with lock:
                    out.write(json.dumps(row) + "\n")
                    out.flush()

        with ThreadPoolExecutor(count) as pool:
            list(pool.map(work, pairs))
        out.write(json.dumps({"left": settled(before, uids, _SETTLE_S)}) + "\n")
        out.flush()
        for pair in pairs:
            pair.close()


if __name__ == "__main__":
    main()
