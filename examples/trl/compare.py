"""Trains with and without an outage of a third of the verdicts, and by three methods; draws what came of it.

Usage: ``python -m examples.trl.compare [FOLDER] [SEEDS]``, minutes on two cores; writes ``trl.json`` and ``trl.png``.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
from pathlib import Path
from typing import Any

from examples.trl.task import STEPS, Run, train
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess

OUTAGE = 1 / 3
RUNS = (
    Run("undisturbed"),
    Run("a third missing, left out", outage=OUTAGE),
    Run("a third missing, counted as 0", outage=OUTAGE, on_missing=0.0),
    Run("grpo", method="grpo"),
    Run("mc_grpo", method="mc_grpo"),
    Run("rloo", method="rloo"),
)
_LAST = 20
"""Steps whose mean is the final reward."""
_PANELS = (RUNS[:3], RUNS[3:])


def _trained(job: tuple[Run, int, dict[str, Any]]) -> tuple[str, int, list[float]]:
    run, seed, endpoints = job
    means: list[float] = []
    train(run, endpoints, seed=seed, tell=lambda step, mean: means.append(mean))
    return run.name, seed, means


def compare(seeds: int) -> dict[str, list[list[float]]]:
    """The mean of what the verifier said at each step, by run and seed."""
    program = ServerProcess("example/letters", ("examples.trl.verifiers:letters",), None, "127.0.0.1", 0, 1)
    curves: dict[str, list[list[float]]] = {run.name: [] for run in RUNS}
    context = multiprocessing.get_context("spawn")
    with ServerThread([program]) as servers, context.Pool(2) as pool:
        jobs = [(run, seed, servers.endpoints) for seed in range(seeds) for run in RUNS]
        for name, seed, means in pool.imap_unordered(_trained, jobs):
            curves[name].append(means)
            print(f"{name:<32} seed {seed}  final {final(means):.3f}", flush=True)
    return curves


def final(means: list[float]) -> float:
    """The reward that a training ends with."""
    return statistics.fmean(means[-_LAST:])


def table(curves: dict[str, list[list[float]]]) -> list[str]:
    """Lines of a table: mean and standard deviation of the final reward over the seeds, and its extremes."""
    lines = [f"{'run':<32} {'mean':>6} {'std':>6} {'lowest':>7} {'highest':>8}"]
    for name, seeds in curves.items():
        ends = [final(means) for means in seeds]
        spread = statistics.stdev(ends) if len(ends) > 1 else 0.0
        lines.append(f"{name:<32} {statistics.fmean(ends):>6.3f} {spread:>6.3f} {min(ends):>7.3f} {max(ends):>8.3f}")
    return lines


def draw(curves: dict[str, list[list[float]]], path: Path) -> None:
    """Draw the mean over the seeds of each run, and the range of the seeds around it."""
    import matplotlib as mpl

    mpl.use("svg" if path.suffix == ".svg" else "agg")
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(1, len(_PANELS), figsize=(11, 4), sharey=True)
    for axis, runs in zip(axes, _PANELS, strict=True):
        for run in runs:
            smooth = np.array([np.convolve(values, np.ones(10) / 10, "valid") for values in curves[run.name]])
            steps = np.arange(10, 10 + smooth.shape[1])
            (line,) = axis.plot(steps, smooth.mean(0), label=run.name)
            axis.fill_between(steps, smooth.min(0), smooth.max(0), color=line.get_color(), alpha=0.15)
        axis.set_xlabel("step")
        axis.legend(loc="lower right", fontsize=8)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("mean of the verdicts (10 steps)")
    axes[0].set_title("TRL's own advantages, with an outage")
    axes[1].set_title("three methods of ours, undisturbed")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run all trainings."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{len(RUNS)} runs x {seeds} seeds x {STEPS} steps")
    curves = compare(seeds)
    (folder / "trl.json").write_text(
        json.dumps({name: [final(values) for values in all_] for name, all_ in curves.items()})
    )
    draw(curves, folder / "trl.png")
    print("\n".join(table(curves)))


if __name__ == "__main__":
    main()
