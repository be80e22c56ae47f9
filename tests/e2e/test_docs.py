"""What the pages say exists: flags, sections of settings, and the names of verifiers' options."""

from __future__ import annotations

import inspect
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import typer

from reward_servers.cli._app import COMMANDS
from reward_servers.config import ServerConfig
from reward_servers.core import Context, Group, Item, PromptContext, Rollout, find, verifier

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_OPTIONS = ("choice", "citation", "exact", "format", "judge", "length", "pairwise", "preference", "rubric")


def test_every_command_and_flag_that_is_shown_exists() -> None:
    app = typer.Typer()
    for name, function in COMMANDS:
        app.command(name)(function)
    command = typer.main.get_command(app)
    flags = {
        name: {flag for parameter in one.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        for name, one in command.commands.items()  # type: ignore[attr-defined]
    }
    for page in PAGES:
        for name, arguments in re.findall(r"\bassay ([a-z]+)\b([^`\n]*)", page.read_text("utf-8")):
            if name in flags:
                shown = set(re.findall(r"(?<!\S)(--?[a-z][a-z-]*)", arguments.partition("&&")[0]))
                assert shown <= flags[name], f"{page.name}: assay {name}{arguments}"
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name in flags:
        assert f"## `assay {name}`" in text


def test_the_settings_file_has_every_section_and_the_defaults_that_are_shown() -> None:
    text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    (shown,) = re.findall(r"^```toml\n(\[server\].*?)^```", text, re.MULTILINE | re.DOTALL)
    config = ServerConfig.model_validate(tomllib.loads(shown))
    assert config.limits == ServerConfig().limits
    assert config.server.drain_timeout_s == ServerConfig().server.drain_timeout_s
    assert set(tomllib.loads(shown)) == set(ServerConfig.model_fields)


@pytest.mark.parametrize("name", WITH_OPTIONS)
def test_every_option_and_setting_is_on_the_verifiers_page(name: str) -> None:
    verifier = find(name)
    text = (ROOT / "docs" / "verifiers" / f"{name}.md").read_text("utf-8")
    assert verifier.options is not None
    for field in (*verifier.options.model_fields, *(verifier.settings.model_fields if verifier.settings else ())):
        assert re.search(rf"`[^`]*\b{field}\b[^`]*`|\b{field} = ", text), f"{name}: {field}"


async def test_the_guides_examples_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "writing-a-verifier.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "acme/tone" in block)
    module = ModuleType("guide_example")
    monkeypatch.setitem(sys.modules, "guide_example", module)
    exec(compile(code, "writing-a-verifier.md", "exec"), module.__dict__)
    group = Group(PromptContext("g"), [Rollout("short"), Rollout("longer")])
    assert [one.value for one in await module.shortest(group)] == [1.0, 0.0]
    words = tmp_path / "words"
    words.write_text("kind words")
    model = module.Model.target()
    model.setup(module.ModelSettings(path=words))
    items = [Item(Rollout(text), None, None, Context("acme/model")) for text in ("a kind one", "a rude one")]
    assert [one.value for one in model.score_batch(items)] == [1.0, 0.0]


def test_every_argument_of_the_decorator_is_explained() -> None:
    text = (ROOT / "docs" / "writing-a-verifier.md").read_text("utf-8")
    for name in inspect.signature(verifier).parameters:
        assert name == "name" or f"`{name}`" in text
