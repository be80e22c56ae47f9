"""The page: one HTML file that asks for nothing, whatever is in the texts that it shows."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import IO, Any, TypeAlias

import numpy as np

from reward_servers.reporting._choose import KINDS, Choice, choose
from reward_servers.reporting._entry import Entry, NotScoredError, entry_of
from reward_servers.reporting._numbers import ADDRESSES, CUT, HIDDEN, Numbers
from reward_servers.reporting._plots import Plot, draw
from trainer_client._printable import printable
from trainer_client.result.figures import figures_of
from trainer_client.result.grid import Grid, add_counts, add_figures
from trainer_client.result.summary import COMBINED
from trainer_client.signals import Groups

Rows: TypeAlias = Callable[[], Iterable[Mapping[str, Any]]]
"""Rows of a scored file; read twice, in the same order."""

MAX_BYTES = 20_000_000
_RESERVED = 2_000_000
_ROLLOUTS = 64
_TEXT, _SMALL, _EVIDENCE = 12_000, 600, 8_000
_SIGNS = {HIDDEN: "unseen characters", ADDRESSES: "words to a judge", CUT: "cut off"}


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a page shows.

    Attributes:
        title: Its heading.
        groups: Groups at most.
        evidence: Whether what the verifiers extracted and compared may be shown; it may quote hidden tests.
        grid: The table of the run, where more is known than the rows say.
        lines: What is said below it.
        bytes: Size of the file at most.
    """

    title: str = "report"
    groups: int = 200
    evidence: bool = False
    grid: Grid | None = None
    lines: tuple[str, ...] = ()
    bytes: int = MAX_BYTES


def write_report(file: IO[str], rows: Rows, options: ReportOptions) -> list[str]:
    """Write a page.

    Args:
        file: Where to.
        rows: The scored rollouts; read twice, since a group is known to be worth a look only when it has been read.
        options: What is shown.

    Returns:
        What the reader should know: rows that are left out, plots that are missing.

    Raises:
        NotScoredError: No row is a scored rollout.
        OSError: The file cannot be written.
    """
    numbers = Numbers()
    problems: list[str] = []
    for entry in _entries(rows, problems):
        numbers.add(entry)
    if not numbers.rows:
        raise NotScoredError(problems[0] if problems else "there are no rows")
    notes = [f"{len(problems)} rows are left out: {problems[0]}"] if problems else []
    choice = choose(numbers, options.groups)
    try:
        plots = draw(numbers)
    except ImportError:
        plots = []
        notes.append("plots need matplotlib: pip install 'assay[plots]'")
    if not numbers.texts:
        notes.append("the rows have no texts: score with --keep, or name the input by --rollouts")
    pictures = [_picture(plot) for plot in plots]
    left = options.bytes - _RESERVED - sum(map(len, pictures))
    groups, dropped = _fitting(_groups(rows, numbers, choice, options), choice, left)
    rule = choice.rule + (f"; {dropped} more do not fit into the file" if dropped else "")
    data = {"kinds": KINDS, "found": choice.found, "rule": rule, "texts": numbers.texts > 0}
    file.write(_html(options, _grid(numbers, options), [*options.lines, *notes], pictures, data, groups))
    return notes


def _entries(rows: Rows, problems: list[str]) -> Iterator[Entry]:
    for number, row in enumerate(rows(), 1):
        try:
            yield entry_of(row)
        except NotScoredError as error:
            problems.append(f"row {number}: {error}")


def _groups(rows: Rows, numbers: Numbers, choice: Choice, options: ReportOptions) -> dict[int, dict[str, Any]]:
    """What is shown of the chosen groups, by their numbers: the second reading of the rows."""
    chosen_groups = set(choice.groups)
    ids = list(numbers.group_ids)
    groups: dict[int, dict[str, Any]] = {}
    for row, entry in enumerate(_entries(rows, [])):
        number = int(numbers.groups[row])
        if number not in chosen_groups:
            continue
        group = groups.setdefault(
            number, {"id": _text(ids[number], _SMALL), "place": number, "rollouts": [], "size": 0}
        )
        group["size"] += 1
        kinds = [kind for kind, rows_of in choice.flags.items() if rows_of[row]]
        group["kinds"] = sorted({*group.get("kinds", ()), *kinds})
        if "prompt" not in group and entry.prompt is not None:
            group["prompt"] = _text(entry.prompt, _TEXT)
            group["reference"] = _text(entry.reference, _TEXT) if options.evidence else ""
        if len(group["rollouts"]) < _ROLLOUTS:
            group["rollouts"].append(_rollout(entry, kinds, int(numbers.signs[row]), options.evidence))
    outcome = numbers.outcome()
    present = ~np.isnan(outcome)
    all_groups = Groups.of(numbers.groups).take(present)
    figures = zip(
        all_groups.labels.tolist(),
        all_groups.mean(outcome[present]),
        all_groups.deviation(outcome[present]),
        strict=True,
    )
    for number, mean, spread in figures:
        if number in groups:
            groups[number] |= {"mean": float(mean), "spread": float(spread)}
    return groups


def _rollout(entry: Entry, kinds: list[str], signs: int, evidence: bool) -> dict[str, Any]:
    cells = []
    response = entry.response or ""
    span: tuple[int, int] | None = None
    for name, cell in entry.cells.items():
        span = span or cell.span(response)
        cell_fields = {
            "name": _text(name, _SMALL),
            "kind": cell.kind,
            "score": cell.score,
            "code": _text(cell.code, _SMALL),
        }
        remark = " ".join(filter(None, (cell.party and f"{cell.party}:", cell.message or cell.note)))
        if remark:
            cell_fields["note"] = _text(remark, _SMALL)
        # What is in the response tells nothing new; a reference that was compared might.
        if cell.answer and (evidence or cell.answer in response):
            cell_fields["answer"] = _text(cell.answer, _SMALL)
        if evidence and cell.evidence is not None:
            cell_fields["evidence"] = _text(
                json.dumps(cell.evidence, ensure_ascii=False, indent=1, default=str), _EVIDENCE
            )
        cells.append(cell_fields)
    return {
        "id": _text(entry.rollout_id, _SMALL),
        "reward": entry.reward,
        "advantage": entry.advantage,
        "keep": entry.keep,
        "cells": cells,
        "parts": _parts(entry.response, span),
        "length": None if entry.response is None else len(entry.response),
        "kinds": kinds,
        "signs": [name for bit, name in _SIGNS.items() if signs & bit],
        "finish": _text(entry.finish_reason, _SMALL),
    }


def _parts(response: str | None, span: tuple[int, int] | None) -> list[str]:
    """A response before, within and behind the span that was extracted, shortened where it is long."""
    if response is None:
        return []
    if span is None:
        return [_text(response, _TEXT)]
    before, marked, behind = response[: span[0]], response[span[0] : span[1]], response[span[1] :]
    return [_text(before, _TEXT // 2), _text(marked, _TEXT // 2), _text(behind, _TEXT // 2)]


def _text(text: str, limit: int) -> str:
    """A text with what is unseen made visible; of a long one the beginning and the end."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters ...]\n{text[-half:]}"
    return printable(text)


def _fitting(groups: dict[int, dict[str, Any]], choice: Choice, left: int) -> tuple[list[str], int]:
    """The groups as JSON, in the order of the file; those that do not fit are left out, the least telling first."""
    fitting: list[tuple[int, str]] = []
    for number in choice.groups:
        # Pure ASCII, and nothing in it that HTML could take for its own.
        text = json.dumps(groups[number], separators=(",", ":"))
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        left -= len(text) + 1
        if left < 0:
            break
        fitting.append((number, text))
    return [text for _, text in sorted(fitting)], len(choice.groups) - len(fitting)


def _grid(numbers: Numbers, options: ReportOptions) -> Grid:
    """The table of a run, from its rows where nothing more is known."""
    if options.grid is not None:
        return options.grid
    groups = Groups.of(numbers.groups)
    scores = numbers.scores
    grid = Grid([*numbers.names, COMBINED])
    scored = [*scores.T, numbers.rewards]
    grid.add("scored", [f"{int((~np.isnan(scores)).sum())}/{numbers.rows}" for scores in scored])
    add_figures(grid, [figures_of(scores, groups) for scores in scored])
    add_counts(grid, "", [dict(code) for code in numbers.codes])
    return grid


def _picture(plot: Plot) -> str:
    """A plot as an image, in which neither styles nor scripts reach the page."""
    title, caption = html.escape(plot.title), html.escape(plot.says)
    data = base64.b64encode(plot.svg.encode("utf-8")).decode("ascii")
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{title}. {caption}">'
    return f"<figure><h3>{title}</h3>{image}<figcaption>{caption}</figcaption></figure>"


def _html(
    options: ReportOptions,
    grid: Grid,
    lines: list[str],
    pictures: list[str],
    data: Mapping[str, Any],
    groups: list[str],
) -> str:
    script, style = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.js", "page.css"))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = html.escape(printable(options.title, line=True))
    paragraphs = "".join(f"<p>{html.escape(printable(line, line=True))}</p>" for line in lines)
    about = json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1></header>
<main>
<section id="figures"><h2>Figures</h2><div class="scroll">{_table(grid)}</div>{paragraphs}</section>
<section id="plots"><h2>Plots</h2><div class="plots">{"".join(pictures)}</div></section>
<section id="browse"><h2>Groups</h2>
<p id="rule"></p>
<div id="filters" role="group" aria-label="Filters"></div>
<div id="order">
<input id="search" type="search" placeholder="find in prompts, responses and ids" aria-label="Find">
<select id="sort" aria-label="Order">
<option value="place">in the order of the file</option>
<option value="low">lowest mean reward first</option>
<option value="high">highest mean reward first</option>
<option value="spread">widest spread first</option>
</select>
<span id="count" role="status"></span>
</div>
<noscript><p>The groups are shown by a script, which this browser does not run.</p></noscript>
<div id="groups"></div>
<button id="more" type="button" hidden>show more</button>
</section>
</main>
<script type="application/json" id="about">{about}</script>
<script type="application/json" id="data">[{",".join(groups)}]</script>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _table(grid: Grid) -> str:
    def cell(text: str, tag: str = "td") -> str:
        return f"<{tag}>{html.escape(printable(text, line=True))}</{tag}>"

    head = "".join(cell(title, "th") for title in grid.titles)
    rows = (cell(name, "th") + "".join(map(cell, texts)) for name, texts in grid.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
