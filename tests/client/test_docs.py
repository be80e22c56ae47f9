"""The documentation says what is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from trainer_client import Recipe, RecipeError, Reward, _errors

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / name).read_text(), re.MULTILINE | re.DOTALL)


def test_the_recipe_loads_and_its_error_reads_as_shown(tmp_path: Path) -> None:
    text, with_parts, by_step, with_inputs, asking = blocks("recipes.md", "toml")
    assert Recipe.loads(text).columns == ("correct", "tags")
    assert Recipe.loads(with_inputs).inputs == {"helped": "metadata.hinted"}
    assert [one.aspect for one in Recipe.loads(with_parts).rewards] == ["", "coverage"]
    told = Recipe.loads(f'{asking}[rewards.a]\nverifier = "v"').client
    assert told is not None
    assert told.retries is not None
    assert told.retries.unavailable_timeout_s == 1800.0
    (brief,) = Recipe.loads(by_step).at(350).rewards
    assert (brief.weight, brief.options["max"]) == (0.25, 1000)
    (shown,) = [block.strip() for block in blocks("recipes.md", "text")]
    path = tmp_path / "recipe.toml"
    path.write_text(text.replace("deadline_s = 30.0", "deadline_s = 30.0\nwieght = 1.0"))
    with pytest.raises(RecipeError) as caught:
        Recipe.load(path)
    assert re.sub(r"^.*recipe\.toml", "recipe.toml", str(caught.value)) == shown


@pytest.mark.parametrize("name", ["client.md", "recipes.md"])
def test_the_code_compiles(name: str) -> None:
    found = blocks(name, "python")
    assert found
    for block in found:
        compile(block, name, "exec")


def test_every_key_of_a_reward_is_documented() -> None:
    text = (DOCS / "recipes.md").read_text()
    # What a file says by the name of its table, by numbers that follow the step, and by writing a weight at all.
    unwritten = ("name", "schedules", "weighed")
    for key in (one.name for one in fields(Reward) if one.init and one.name not in unwritten):
        assert f"| `{key}` |" in text


def test_every_error_is_drawn() -> None:
    names = [name for name, value in vars(_errors).items() if isinstance(value, type) and issubclass(value, Exception)]
    for name in names:
        assert name in (_errors.__doc__ or "")
        assert name in (DOCS / "client.md").read_text()
