"""A run in pictures: SVG drawn by matplotlib when the page is made. Names are drawn as shapes, never read as markup."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reward_servers.reporting._numbers import FloatArray, Numbers
from trainer_client._printable import printable
from trainer_client.signals import Groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = 8
_POINTS = 3000
_CODES = 8
_NAME = 24
_WIDTH, _HEIGHT = 5.2, 3.2
_BLUE, _ORANGE, _GREEN, _RED, _GREY = "#3b6ea8", "#d9822b", "#3f9a5f", "#c0493d", "#9aa3ad"


class Plot(NamedTuple):
    """A picture.

    Attributes:
        title: What it shows.
        says: The same in figures, for readers who do not see it.
        svg: The picture; empty where there is nothing to draw.
    """

    title: str
    says: str
    svg: str


def draw(numbers: Numbers) -> list[Plot]:
    """Draw what is known of all rows.

    Raises:
        ImportError: matplotlib is missing.
    """
    import matplotlib

    makers = (_distributions, _spread, _outcomes, _latency, _length, _agreement, _learning)
    # Formulas are not read, and the ids in a file do not depend on chance, so that the same rows make the same page.
    with matplotlib.rc_context({"text.parse_math": False, "svg.hashsalt": "assay", "font.size": 8.5}):
        return [plot for make in makers for plot in make(numbers)] if numbers.rows else []


def _plot(title: str, caption: str, paint: Callable[[Axes], None], height: float = _HEIGHT) -> Plot:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    paint(axes)
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return Plot(title, caption, file.getvalue())


def _name(text: str) -> str:
    line = printable(text, line=True)
    return line if len(line) <= _NAME else f"{line[: _NAME - 3]}..."


def _log(axes: Axes) -> None:
    """A logarithmic axis whose labels are plain numbers."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _present(values: FloatArray) -> FloatArray:
    return values[~np.isnan(values)]


def _distributions(numbers: Numbers) -> Iterator[Plot]:
    columns = {_name(name): _present(numbers.scores[:, place]) for name, place in numbers.names.items()}
    columns["= reward"] = _present(numbers.rewards)
    filled_columns = {name: values for name, values in columns.items() if values.size}
    if not filled_columns:
        return
    names = [*list(filled_columns)[:_SHOWN], *(["= reward"] if "= reward" in list(filled_columns)[_SHOWN:] else [])]
    low, high = (float(pick([pick(filled_columns[name]) for name in names])) for pick in (min, max))
    edges = np.linspace(low, high if high > low else low + 1, 21)
    shares = np.array([np.histogram(filled_columns[name], edges)[0] / filled_columns[name].size for name in names])

    def paint(axes: Axes) -> None:
        for place, share in enumerate(shares):
            axes.bar(edges[:-1], 0.85 * share, np.diff(edges), bottom=len(names) - 1 - place, align="edge", color=_BLUE)
            axes.axhline(len(names) - 1 - place, color=_GREY, linewidth=0.5)
        axes.set_yticks(np.arange(len(names)) + 0.4, names[::-1])
        axes.set_xlabel("score; the height is the share of the rollouts")

    means = ", ".join(f"{name} {filled_columns[name].mean():.3f}" for name in names)
    yield _plot("Distribution of scores and rewards", f"Means: {means}", paint, max(2.0, 0.55 * len(names) + 0.8))


def _spread(numbers: Numbers) -> Iterator[Plot]:
    outcome = numbers.outcome()
    present = ~np.isnan(outcome)
    if not present.any():
        return
    groups = Groups.of(numbers.groups).take(present)
    deviations = groups.deviation(outcome[present])[groups.sizes > 1]
    if not deviations.size:
        return
    constant = int((deviations == 0).sum())

    def paint(axes: Axes) -> None:
        axes.hist(deviations[deviations > 0], 20, color=_BLUE, label="groups that differ")
        if constant:
            axes.bar(0, constant, width=max(deviations.max(), 1e-9) / 25 or 0.02, color=_RED, label="all rewards equal")
        axes.set_xlabel("standard deviation of the rewards of a prompt")
        axes.set_ylabel("groups")
        axes.legend(frameon=False)

    caption = f"{deviations.size} groups of two or more; {constant} without spread; median {np.median(deviations):.3f}"
    yield _plot("Spread within groups", caption, paint)


def _outcomes(numbers: Numbers) -> Iterator[Plot]:
    names = list(numbers.names)[:_SHOWN]
    bars: list[tuple[str, int, str]] = []
    for name in names:
        for outcome, count in numbers.codes[numbers.names[name]].most_common(_CODES):
            kind, _, code = outcome.partition(" ")
            color = _RED if kind == "fault" else _GREY if kind == "skip" else _GREEN if code == "accepted" else _BLUE
            label = code if kind == "verdict" else f"{kind}: {code}"
            bars.append((f"{_name(name)}: {_name(label)}", count, color))

    def paint(axes: Axes) -> None:
        axes.barh(range(len(bars)), [count for _, count, _ in bars], color=[color for *_, color in bars])
        axes.set_yticks(range(len(bars)), [label for label, *_ in bars])
        axes.invert_yaxis()
        axes.set_xlabel("rollouts (red: faults, grey: skips)")

    if bars:
        faults = ", ".join(f"{printable(party, line=True)} {count}" for party, count in numbers.parties.most_common(5))
        caption = f"Faults by party: {faults}" if faults else "No faults"
        yield _plot("Codes and faults", caption, paint, max(_HEIGHT, 0.2 * len(bars) + 0.8))


def _latency(numbers: Numbers) -> Iterator[Plot]:
    columns = {_name(name): _present(numbers.seconds[:, place]) for name, place in numbers.names.items()}
    sorted_columns = dict([(name, np.sort(values)) for name, values in columns.items() if values.size][:_SHOWN])
    if not sorted_columns:
        return

    def paint(axes: Axes) -> None:
        for name, values in sorted_columns.items():
            places = np.linspace(0, values.size - 1, min(values.size, 400)).astype(int)
            axes.plot(np.maximum(values[places], 1e-6), (places + 1) / values.size, drawstyle="steps-post", label=name)
        _log(axes)
        axes.set_xlabel("seconds that an item ran")
        axes.set_ylabel("share of items")
        axes.legend(frameon=False)

    caption = ", ".join(
        f"{name} p50 {np.quantile(v, 0.5):.3g} s, p99 {np.quantile(v, 0.99):.3g} s"
        for name, v in sorted_columns.items()
    )
    yield _plot("Latency", caption, paint)


def _length(numbers: Numbers) -> Iterator[Plot]:
    outcome = numbers.outcome()
    has_both = ~np.isnan(outcome) & ~np.isnan(numbers.lengths)
    if has_both.sum() < 2:
        return
    lengths, rewards = numbers.lengths[has_both], outcome[has_both]
    step = -(-lengths.size // _POINTS)
    order = np.argsort(lengths, kind="stable")
    parts = [part for part in np.array_split(order, min(12, -(-lengths.size // 8))) if part.size]

    def paint(axes: Axes) -> None:
        axes.scatter(np.maximum(lengths[::step], 1), rewards[::step], s=8, alpha=0.35, color=_BLUE, linewidths=0)
        axes.plot(
            [np.maximum(lengths[part], 1).mean() for part in parts],
            [rewards[part].mean() for part in parts],
            color=_ORANGE,
            marker="o",
            markersize=3,
            label=f"mean of {len(parts)} equal parts",
        )
        _log(axes)
        axes.set_xlabel(
            f"characters of the response (every {step}. rollout)" if step > 1 else "characters of the response"
        )
        axes.set_ylabel("reward")
        axes.legend(frameon=False)

    varies = bool(lengths.std() and rewards.std())
    caption = f"Correlation {np.corrcoef(lengths, rewards)[0, 1]:+.3f}" if varies else "One of them does not vary"
    yield _plot("Length against reward", caption, paint)


def _agreement(numbers: Numbers) -> Iterator[Plot]:
    names = list(numbers.names)[:_SHOWN]
    if len(names) < 2:
        return
    matrix = np.full((len(names), len(names)), np.nan)
    for row in range(len(names)):
        for column in range(len(names)):
            pair = numbers.scores[:, [row, column]]
            pair = pair[~np.isnan(pair).any(axis=1)]
            if pair.shape[0] > 2 and pair.std(axis=0).all():
                matrix[row, column] = float(np.corrcoef(pair[:, 0], pair[:, 1])[0, 1])

    def paint(axes: Axes) -> None:
        axes.imshow(matrix, vmin=-1, vmax=1, cmap="RdBu")
        for row, column in np.ndindex(matrix.shape):
            value = matrix[row, column]
            text, color = (
                ("-", "black") if np.isnan(value) else (f"{value:.2f}", "white" if abs(value) > 0.6 else "black")
            )
            axes.text(column, row, text, ha="center", va="center", color=color)
        axes.set_xticks(range(len(names)), [_name(name) for name in names], rotation=30, ha="right")
        axes.set_yticks(range(len(names)), [_name(name) for name in names])

    texts = [
        f"{_name(name)} and {_name(other_name)} {matrix[row, column]:.2f}"
        for row, name in enumerate(names)
        for column, other_name in enumerate(names)
        if row < column and not np.isnan(matrix[row, column])
    ]
    caption = f"Correlations: {', '.join(texts)}" if texts else "No two rewards vary over the same rollouts"
    yield _plot("Agreement between rewards", caption, paint, max(2.4, 0.42 * len(names) + 1.2))


def _learning(numbers: Numbers) -> Iterator[Plot]:
    masked = np.isnan(numbers.rewards)
    if masked.all():
        return
    outcome = numbers.rewards
    groups = Groups.of(numbers.groups)
    unmasked = groups.take(~masked)
    flat = np.zeros(len(groups), np.bool_)
    present = np.bincount(numbers.groups[~masked], minlength=len(groups)) > 0
    flat[present] = unmasked.constant(outcome[~masked])
    constant = flat[numbers.groups] & ~masked
    dropped = numbers.dropped & ~masked & ~constant
    zero = (numbers.advantages == 0) & ~masked & ~constant & ~dropped
    teaching = ~masked & ~constant & ~dropped & ~zero
    parts = [
        ("teach", teaching, _GREEN),
        ("advantage 0", zero, _GREY),
        ("filtered out", dropped, _ORANGE),
        ("group without spread", constant, _RED),
        ("masked", masked, "#5b4b8a"),
    ]

    def paint(axes: Axes) -> None:
        axes.barh(range(len(parts)), [int(rows.sum()) for _, rows, _ in parts], color=[color for *_, color in parts])
        axes.set_yticks(range(len(parts)), [name for name, *_ in parts])
        axes.invert_yaxis()
        axes.set_xlabel("rollouts")

    caption = ", ".join(f"{name} {int(rows.sum())}" for name, rows, _ in parts)
    yield _plot("Learning signal kept and lost", caption, paint, 2.4)
