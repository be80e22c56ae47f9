"""Every link of a page and every page that code names exists, with its heading."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(([^)\s]+)\)")
_NAMED = re.compile(r"(?<![\w./-])docs/[\w./-]+\.md(?:#[\w-]+)?")


@cache
def files(*patterns: str) -> tuple[str, ...]:
    """Paths of the tree's own files."""
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        return tuple(path for path in listed if path and (ROOT / path).is_file())
    folders = ("docs", "examples", "reward_servers", "trainer_client", "sandbox", "deploy", "tests")
    found = [path for pattern in patterns for path in ROOT.glob(pattern)]
    found += [path for folder in folders for pattern in patterns for path in (ROOT / folder).rglob(pattern)]
    return tuple(str(path.relative_to(ROOT)) for path in found)


def anchors(text: str) -> frozenset[str]:
    """Anchors of a page's headings, as sites that show Markdown make them; a heading that comes again is numbered."""
    seen: Counter[str] = Counter()
    found = set()
    for head in re.findall(r"^#+ (.+?)\s*$", _FENCE.sub("", text), re.MULTILINE):
        shown = _LINK.sub(lambda link: link[0][1:].partition("](")[0], head)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(found)


def links(text: str) -> list[str]:
    """Targets of a page's links to other files and to its own headings; what is shown as code is no link."""
    shown = _CODE.sub("code", _FENCE.sub("", text))
    return [target for target in _LINK.findall(shown) if not re.match(r"[a-z]+:", target)]


def problem(target: str, page: Path) -> str | None:
    """What is wrong with a link of a page; None if it leads somewhere."""
    name, _, anchor = target.partition("#")
    to = (page.parent / name).resolve() if name else page
    if not to.exists():
        return f"{target}: there is no such file"
    if anchor and anchor not in anchors(to.read_text("utf-8")):
        return f"{target}: {to.name} has no such heading"
    return None


@pytest.mark.parametrize("path", files("*.md"))
def test_links_of_a_page_lead_to_files_and_headings(path: str) -> None:
    page = ROOT / path
    found = [wrong for target in links(page.read_text("utf-8")) if (wrong := problem(target, page))]
    assert found == []


def test_pages_that_files_name_exist() -> None:
    """In messages, comments and settings: a user who reads one of them opens that page."""
    patterns = ("*.py", "*.md", "*.toml", "*.yaml", "*.yml", "*.sh", "*.proto", "*.cfg", "Makefile", "*.service")
    named = {(path, target) for path in files(*patterns) for target in _NAMED.findall((ROOT / path).read_text("utf-8"))}
    assert len(named) > 20
    wrong = {path: said for path, target in named if (said := problem(target, ROOT / "README.md"))}
    assert wrong == {}


def test_the_finder_sees_links_and_headings() -> None:
    """Otherwise nothing would be checked: links of code, in tables, with brackets; headings with code and twice."""
    heads = "# A `b` [c](d.md)\n\n## Same\n\n## Same\n\n"
    page = f"{heads}[`x`](y.md#z) ![p](q.png) | [a [b] c](#e) |\n\n```\n[n](no.md)\n```\n"
    assert links(page) == ["d.md", "y.md#z", "q.png", "#e"]
    assert anchors(page) == {"a-b-c", "same", "same-1"}
