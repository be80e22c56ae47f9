"""An audit in pictures."""

from __future__ import annotations

from pathlib import Path

from reward_servers.auditing._report import Report


def plot(report: Report, folder: Path) -> list[Path]:
    """Draw what an audit found.

    Args:
        report: The audit.
        folder: Where the pictures go; it is made where it is missing.

    Returns:
        The files that were written.

    Raises:
        ImportError: matplotlib is missing.
    """
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "rates.png", folder / "length.png"]
    rates = {
        "asked again": report.retest,
        "other order": report.flips,
        "padding": report.padding,
        **{f"plant: {kind}": rate for kind, rate in report.injection.items() if kind != "any"},
    }
    counted_rates = {name: rate for name, rate in rates.items() if rate.total}
    figure = Figure(figsize=(7, 0.5 * len(counted_rates) + 1.2), layout="constrained")
    axes = figure.subplots()
    shares = [rate.share for rate in counted_rates.values()]
    low = [rate.share - rate.low for rate in counted_rates.values()]
    high = [rate.high - rate.share for rate in counted_rates.values()]
    axes.barh(
        list(counted_rates), shares, xerr=[[max(0.0, width) for width in low], [max(0.0, width) for width in high]]
    )
    axes.set_xlim(0, 1)
    axes.set_xlabel("share of scores that changed, or rose (95 % interval)")
    axes.invert_yaxis()
    figure.savefig(files[0])

    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    axes.scatter([length for length, _ in report.points], [score for _, score in report.points], s=12, alpha=0.5)
    axes.set_xlabel("length of the response (characters, log2)")
    axes.set_ylabel("score")
    figure.savefig(files[1])

    if report.calibration is not None:
        files.append(folder / "calibration.png")
        figure = Figure(figsize=(4.5, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], linestyle=":", color="grey")
        bins = report.calibration.bins
        axes.scatter(
            [mean for mean, _, _ in bins], [right for _, right, _ in bins], s=[20 + count for *_, count in bins]
        )
        axes.set_xlabel("mean score")
        axes.set_ylabel("share that is right")
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        figure.savefig(files[2])
    return files
