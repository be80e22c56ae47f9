"""``python -m reward_servers.verifiers``: the page of all verifiers that come with the project."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from reward_servers.core import Verifier, installed, schema_of
from reward_servers.testing import example_rows

_PACKAGE = "reward_servers.verifiers."
_HEAD = """# Verifiers

`assay serve NAME` serves one; `assay list` says which of them this host can run. A recipe asks one by its name:

```toml
[rewards.answer]
verifier = "qa"
options = { take = "tag" }
```

Verifiers have labelled cases, a third of them hostile, in `tests/data/verifiers`; the examples here are some of them,
and `assay check NAME --hacks` makes its attempts from them. This page is written by
`python -m reward_servers.verifiers`.
"""


def page(root: Path) -> str:
    """The page.

    Args:
        root: Folder of the checkout.
    """
    families: dict[str, list[tuple[Verifier, tuple[str, ...]]]] = {}
    for entry in installed().values():
        if entry.path.startswith(_PACKAGE):
            family = entry.path.removeprefix(_PACKAGE).partition(":")[0].rpartition(".")[0]
            families.setdefault(family, []).append((entry.load(), tuple(entry.point.extras)))
    parts = [_HEAD, *(_table(family, rows) for family, rows in sorted(families.items()))]
    parts += [_section(verifier, root) for _, rows in sorted(families.items()) for verifier, _ in rows]
    return "\n".join(parts)


def _table(family: str, rows: list[tuple[Verifier, tuple[str, ...]]]) -> str:
    lines = [f"## {family.capitalize() or 'General'}", ""]
    if family:
        lines[1:1] = ["", (sys.modules[_PACKAGE + family].__doc__ or "").partition("\n")[0]]
    lines += ["| verifier | what it judges | extra |", "|---|---|---|"]
    lines += [
        f"| [{verifier.name}](#{verifier.name}) | {verifier.description} | {', '.join(extras)} |"
        for verifier, extras in rows
    ]
    return "\n".join([*lines, ""])


def _section(verifier: Verifier, root: Path) -> str:
    lines = [f"### {verifier.name}", "", verifier.description]
    if (root / "docs" / "verifiers" / f"{verifier.name}.md").exists():
        lines[-1] += f" More in [{verifier.name}.md]({verifier.name}.md)."
    facts = [f"version {verifier.version}", f"{verifier.low:g} to {verifier.high:g}"]
    facts += ["judges whole groups"] if verifier.scope == "group" else []
    facts += ["not deterministic"] if not verifier.deterministic else []
    facts += [f"aspects: {', '.join(f'`{name}`' for name in verifier.aspects)}"] if verifier.aspects else []
    lines += ["", "; ".join(facts) + "."]
    for title, model in (("reference", verifier.reference), ("option", verifier.options)):
        lines += _fields(title, json.loads(schema_of(model) or b"{}"))
    return "\n".join([*lines, *_example(verifier), ""])


def _fields(title: str, schema: dict[str, Any]) -> list[str]:
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "" if name in schema.get("required", ()) else f"`{json.dumps(field.get('default'))}`"
        rows.append(f"| `{name}` | {_type(field)} | {default} | {_cell(field.get('description', ''))} |")
    return ["", f"| {title} | type | default | |", "|---|---|---|---|", *rows] if rows else []


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return _cell(" or ".join(f"`{json.dumps(value)}`" for value in field["enum"]))
    if choices := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(choice) for choice in choices))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if field.get("type") == "array" and "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type", "any"))


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _example(verifier: Verifier) -> list[str]:
    rows = example_rows(verifier)
    if verifier.scope == "group":
        rows = [row for row in rows if row["group_id"] == rows[0]["group_id"]]
    keys: tuple[str, ...] = ("group_id",) if verifier.scope == "group" else ()
    keys += ("prompt", "documents", "response", "reference", "options", "metadata", "expected")
    examples = [json.dumps({key: row[key] for key in keys if row.get(key)}, ensure_ascii=False) for row in rows]
    return ["", "```json", *(examples if verifier.scope == "group" else examples[:1]), "```"] if examples else []


if __name__ == "__main__":
    sys.stdout.write(page(Path.cwd()))
