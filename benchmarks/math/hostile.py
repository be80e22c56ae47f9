"""Time and memory of every hostile answer, and whether a normal request is answered meanwhile.

python -m benchmarks.math.hostile
"""

from __future__ import annotations

import resource
import threading
import time
from collections import Counter

from reward_servers.engines.math import judge
from tests.engines.math.hostile import GOLDS, answers


def main() -> None:
    judge("\\boxed{\\sqrt{2}}", "\\sqrt{3}")
    waits: list[float] = []
    stop = threading.Event()

    def normal() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            start = time.perf_counter()
            judge(f"\\boxed{{{number}}}", str(number))
            waits.append(time.perf_counter() - start)
            time.sleep(0.01)

    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    thread = threading.Thread(target=normal)
    thread.start()
    found: list[tuple[float, str, str]] = []
    outcomes: Counter[str] = Counter()
    inputs = answers()
    for answer in inputs:
        for gold in GOLDS:
            for response in ("\\boxed{" + answer + "}", answer):
                start = time.thread_time()
                judgement = judge(response, gold)
                found.append((time.thread_time() - start, answer[:40], gold))
                outcomes[judgement.outcome.value] += 1
    stop.set()
    thread.join()
    found.sort(reverse=True)
    print(f"{len(inputs)} inputs, {len(found)} judgements: {dict(outcomes)}")
    print(f"CPU time in this process: p50 {found[len(found) // 2][0] * 1e3:.2f} ms, max {found[0][0] * 1e3:.0f} ms")
    print(f"memory: {(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024:.0f} MiB more")
    print(f"a normal request meanwhile, same process: max {max(waits) * 1e3:.0f} ms")
    for seconds, answer, gold in found[:5]:
        print(f"  {seconds * 1e3:6.0f} ms  {answer!r} against {gold!r}")


if __name__ == "__main__":
    main()
