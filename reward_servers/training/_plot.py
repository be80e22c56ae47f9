"""The report as a picture: one SVG file that any browser shows, written without a plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from reward_servers.training._report import Bin, Report

_WIDTH, _HEIGHT, _LEFT, _TOP, _SIZE = 1000, 300, 50, 40, 220
_APART = 320


def plot(reports: Mapping[str, Report]) -> str:
    """Draw accuracy by how far scores are apart and by which side is longer, and the calibration curve.

    A model that reads two responses together also has its accuracy by which of them stands first.

    Args:
        reports: The reports, by head.

    Returns:
        The text of an SVG file.
    """
    height = _HEIGHT * max(1, len(reports))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" '
        'font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for place, (name, report) in enumerate(reports.items()):
        parts += [f'<g transform="translate(0 {place * _HEIGHT})">', *_section(name, report), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _section(name: str, report: Report) -> list[str]:
    bands = [(f"{band.low:.2g}-{band.high:.2g}", band.accuracy, band.confidence) for band in report.bands]
    sides = [
        ("longer", report.accuracy_when_chosen_is_longer, None),
        ("shorter", report.accuracy_when_chosen_is_shorter, None),
    ]
    if report.accuracy_when_chosen_is_first is not None:
        sides += [
            ("first", report.accuracy_when_chosen_is_first, None),
            ("second", report.accuracy_when_chosen_is_second, None),
        ]
    low, high = report.interval
    after = report.calibration_error_after
    calibrated = "" if after is None else f" ({after:.3f} with a temperature)"
    return [
        _text(
            _LEFT,
            18,
            f"{escape(name)}: {report.pairs} held-out pairs: accuracy {report.accuracy:.3f} (95 %: {low:.3f} to "
            f"{high:.3f}), {report.ties} ties, calibration error {report.calibration_error:.3f}{calibrated}",
        ),
        *_panel(_LEFT, "scores this far apart (line: confidence)", bands),
        *_panel(_LEFT + _APART, "the chosen response is", sides),
        *_curve(_LEFT + 2 * _APART, report.curve),
    ]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'


def _axis(left: float) -> list[str]:
    """Draw the heights of 0, 0.5 and 1."""
    bottom = _TOP + _SIZE
    parts = [f'<line x1="{left}" y1="{bottom}" x2="{left + _SIZE}" y2="{bottom}" stroke="black"/>']
    for tick in (0.0, 0.5, 1.0):
        height = bottom - tick * (_SIZE - 20)
        parts.append(f'<line x1="{left}" y1="{height}" x2="{left + _SIZE}" y2="{height}" stroke="#ddd"/>')
        parts.append(_text(left - 6, height + 4, f"{tick:g}", "end"))
    return parts


def _curve(left: float, bins: Sequence[Bin]) -> list[str]:
    """Draw the share that is right by how sure the model is, from 0.5 to 1, and the line on which it would be right."""
    bottom, height = _TOP + _SIZE, _SIZE - 20

    def across(chance: float) -> float:
        return left + 2 * (chance - 0.5) * _SIZE

    ends = f'x1="{left}" y1="{bottom - height / 2}" x2="{left + _SIZE}" y2="{bottom - height}"'
    points = [(across(point.said), bottom - point.happened * height) for point in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [*_axis(left), f'<line {ends} stroke="#d05030"/>']
    parts.append(f'<polyline points="{path}" fill="none" stroke="#4878a8"/>')
    for entry, (x, y) in zip(bins, points, strict=True):
        title = f"{entry.pairs} pairs: confidence {entry.said:.3f}, right {entry.happened:.3f}"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#4878a8"><title>{title}</title></circle>')
    parts += [_text(across(tick), bottom + 14, f"{tick:g}", "middle") for tick in (0.5, 0.75, 1.0)]
    return [*parts, _text(left + _SIZE / 2, bottom + 32, "confidence (line: share that is right)", "middle")]


def _panel(left: float, title: str, bars: Sequence[tuple[str, float | None, float | None]]) -> list[str]:
    """Draw bars between 0 and 1; a line across one where the model's confidence is; a bar without value is left out."""
    bottom, step = _TOP + _SIZE, _SIZE / max(1, len(bars))
    parts = _axis(left)
    for place, (name, value, mark) in enumerate(bars):
        start = left + place * step + 0.15 * step
        parts.append(_text(start + 0.35 * step, bottom + 14, name, "middle"))
        if value is None:
            continue
        size = value * (_SIZE - 20)
        box = f'x="{start:.1f}" y="{bottom - size:.1f}" width="{0.7 * step:.1f}" height="{size:.1f}"'
        parts.append(f'<rect {box} fill="#4878a8"><title>{name}: {value:.3f}</title></rect>')
        if mark is not None:
            height = bottom - mark * (_SIZE - 20)
            ends = f'x1="{start:.1f}" y1="{height:.1f}" x2="{start + 0.7 * step:.1f}" y2="{height:.1f}"'
            parts.append(f'<line {ends} stroke="#d05030" stroke-width="3"><title>confidence {mark:.3f}</title></line>')
    parts.append(_text(left + _SIZE / 2, bottom + 32, title, "middle"))
    return parts
