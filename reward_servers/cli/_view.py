"""``assay view``: the rollouts of one prompt, with what each verifier said of them, in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reward_servers.cli._console import printable
from reward_servers.cli._errors import UserError
from reward_servers.cli._report import Input, InputColumns
from reward_servers.cli._scored_rows import ScoredRows

if TYPE_CHECKING:
    from reward_servers.reporting import Cell as SeenCell
    from reward_servers.reporting import Choice, Entry, Numbers

_LINES, _CHARACTERS = 14, 1200
_ALL = 1 << 30
_LISTED = 40


def view(
    source: Annotated[Path, typer.Argument(metavar="SCORED", help="What `assay score -o` wrote: a file or a folder.")],
    group: Annotated[str | None, typer.Option("--group", "-g", metavar="ID", help="The group to show.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Show the group with the most rollouts of a kind; see --list.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the kinds, and the groups of each.")] = False,
    rollouts: Input = None,
    columns: InputColumns = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Show references, and what each verifier extracted and compared.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show long texts whole.")] = False,
) -> int:
    """Show the rollouts of one prompt: by default of the one that most deserves a look.

    What was taken from a response stands between ⟦ and ⟧ there.
    """
    from reward_servers.reporting import choose

    rows = ScoredRows(source, rollouts, columns or ())
    numbers = _numbers_of(rows, source)
    choice = choose(numbers, _ALL)
    if listed:
        print("\n".join(_kinds(numbers, choice)))
        return 0
    number = _pick(numbers, choice, group, kind)
    _show(rows, numbers, choice, number, evidence=evidence, verbose=verbose)
    rows.tell_problems()
    return 0


def _numbers_of(rows: ScoredRows, source: Path) -> Numbers:
    from reward_servers.reporting import Numbers

    numbers = Numbers()
    for entry in rows.entries():
        numbers.add(entry)
    if not numbers.rows:
        raise UserError(rows.problems[0] if rows.problems else f"{source}: there are no rows")
    return numbers


def _pick(numbers: Numbers, choice: Choice, group: str | None, kind: str | None) -> int:
    """Number of the group that is asked for."""
    from difflib import get_close_matches

    from reward_servers.reporting import KINDS

    if group is not None:
        if group not in numbers.group_ids:
            close = get_close_matches(group, numbers.group_ids, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {len(numbers.group_ids)}, see --list"
            raise UserError(f"--group {group}: there is no such group{hint}")
        return numbers.group_ids[group]
    if kind is not None and kind not in KINDS:
        raise UserError(f"--kind {kind}: there is no such kind; there are {', '.join(KINDS)}")
    if kind is not None and not choice.found[kind]:
        raise UserError(f"--kind {kind}: no group has such a rollout ({KINDS[kind].partition(': ')[2]})")
    for name in [kind] if kind is not None else KINDS:
        if choice.found[name]:
            return choice.most(numbers, name)[0]
    return 0


def _kinds(numbers: Numbers, choice: Choice) -> Iterator[str]:
    from reward_servers.reporting import KINDS

    ids = list(numbers.group_ids)
    for kind, description in KINDS.items():
        yield f"{kind}: {choice.found[kind]} of {len(ids)} groups. {description.partition(': ')[2]}"
        rows = choice.most(numbers, kind)
        yield from (f"  {printable(ids[number], line=True)}" for number in rows[:_LISTED])
        if len(rows) > _LISTED:
            yield f"  and {len(rows) - _LISTED} more"


def _show(rows: ScoredRows, numbers: Numbers, choice: Choice, number: int, *, evidence: bool, verbose: bool) -> None:
    """Print a group: the second reading of the rows."""
    name = list(numbers.group_ids)[number]
    limits = (_ALL, _ALL) if verbose else (_LINES, _CHARACTERS)
    texts = False
    first = True
    for row, entry in enumerate(rows.entries()):
        if numbers.groups[row] != number:
            continue
        texts |= entry.response is not None
        if first:
            size = int((numbers.groups == number).sum())
            print(
                printable(f"group {name}: {size} rollouts (group {number + 1} of {len(numbers.group_ids)})", line=True)
            )
            print(_block(entry.prompt or "", "> ", limits))
            if evidence and entry.reference:
                print(_block(f"reference: {entry.reference}", "  ", limits))
            first = False
        kinds = [kind for kind, flags in choice.flags.items() if flags[row]]
        print("\n" + "\n".join(_rollout(entry, kinds, limits, evidence=evidence)))
    if not texts:
        print("\nthe rows have no texts: name the file that was scored by --rollouts")


def _rollout(entry: Entry, kinds: list[str], limits: tuple[int, int], *, evidence: bool) -> Iterator[str]:
    reward = "masked" if entry.reward is None else f"reward {entry.reward:.4g}"
    advantage = "" if entry.advantage is None else f", advantage {entry.advantage:.4g}"
    tags = f"  [{', '.join(kinds)}]" if kinds else ""
    dropped = "" if entry.keep else ", filtered out"
    yield printable(f"{entry.rollout_id}  {reward}{advantage}{dropped}{tags}", line=True)
    response = entry.response or ""
    span = None
    for name, cell in entry.cells.items():
        span = span or cell.span(response)
        yield printable(f"  {name}: {describe_cell(cell, response, evidence)}", line=True)
        if evidence and cell.evidence is not None:
            yield _block(json.dumps(cell.evidence, ensure_ascii=False, indent=1, default=str), "      ", limits)
    if entry.response is not None:
        yield _block(marked(response, span), "  | ", limits)


def describe_cell(cell: SeenCell, response: str, evidence: bool) -> str:
    """A verdict, fault or skip in a line."""
    score = "no score" if cell.score is None else f"{cell.score:.4g}"
    kind = "" if cell.kind == "verdict" else f"{cell.kind} "
    party = f"{cell.party}/" if cell.party else ""
    parts = [f"{score}  {kind}{party}{cell.code}"]
    if cell.answer and (evidence or cell.answer in response):
        parts.append(f"extracted {cell.answer}")
    parts += filter(None, (cell.note, cell.message))
    return "  ".join(parts)


def marked(response: str, span: tuple[int, int] | None) -> str:
    """A response with what was taken from it between brackets."""
    if span is None:
        return response
    return f"{response[: span[0]]}⟦{response[span[0] : span[1]]}⟧{response[span[1] :]}"


def _block(text: str, prefix: str, limits: tuple[int, int]) -> str:
    """A text with a mark before each line; of a long one the beginning and the end."""
    lines, characters = limits
    if len(text) > characters:
        half = characters // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half} characters; -v shows all ...]\n{text[-half:]}"
    lines_shown = printable(text).split("\n")
    if len(lines_shown) > lines:
        half = lines // 2
        lines_shown = [
            *lines_shown[:half],
            f"[... {len(lines_shown) - 2 * half} lines; -v shows all ...]",
            *lines_shown[-half:],
        ]
    return "\n".join(f"{prefix}{line}" for line in lines_shown)
