"""What a training run found, as ``assay train`` prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reward_servers.training import Findings, RatingReport, Report

_WIDE = 34


def show(result: Any) -> None:
    """Print the findings of a run, of any kind."""
    if hasattr(result, "heads"):
        _show_heads(result)
        return
    for name, value in asdict(result).items():
        print(f"{name.replace('_', ' '):<{_WIDE}} {_number_text(value)}")


def _show_heads(findings: Findings) -> None:
    for name, head in findings.heads.items():
        if name:
            print(f"head {name}")
        if head.pairs is not None:
            _show_pairs(head.pairs)
        if head.ratings is not None:
            _show_ratings(head.ratings)
        if head.pairs is None and head.ratings is None:
            print("no held-out row speaks of it")


def _show_pairs(report: Report) -> None:
    low, high = report.interval
    print(f"held-out pairs        {report.pairs}")
    print(f"accuracy              {report.accuracy:.3f}  (95 %: {low:.3f} to {high:.3f}; ties {report.ties})")
    names = ["longer", "shorter"]
    names += ["first", "second"] if report.accuracy_when_chosen_is_first is not None else []
    for name in names:
        value = asdict(report)[f"accuracy_when_chosen_is_{name}"]
        print(f"  chosen is {name:<11} {'no such pair' if value is None else f'{value:.3f}'}")
    after = report.calibration_error_after
    left = "" if after is None else f", with it {after:.3f}"
    print(f"calibration error     {report.calibration_error:.3f}  (temperature {report.temperature:.2f}{left})")
    for band in report.bands:
        print(
            f"  scores {band.low:6.2f} to {band.high:6.2f} apart: {band.pairs} pairs, accuracy {band.accuracy:.3f}, "
            f"confidence {band.confidence:.3f}"
        )


def _show_ratings(report: RatingReport) -> None:
    print(f"held-out ratings      {report.ratings}")
    print(f"  mean error          {report.mean_error:.3f}  (correlation {_number_text(report.correlation)})")
    print(f"  cross-entropy       {report.loss:.3f}  ({report.loss_of_mean:.3f} for saying the mean always)")


def _number_text(value: Any) -> str:
    if value is None:
        return "not known: no such row"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
