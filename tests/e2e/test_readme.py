"""What the README shows runs as it is shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from reward_servers import Rollout
from reward_servers.supervisor import ServerProcess, Supervisor
from trainer_client import Recipe

_README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
_BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", _README, flags=re.M | re.S)


def _block(language: str, words: str) -> str:
    (found,) = (text for kind, text in _BLOCKS if kind == language and words in text)
    return str(found)


async def test_the_trainer_example_scores(tmp_path: Path, monkeypatch: Any) -> None:
    recipe = _block("toml", "[rewards.correct]")
    (tmp_path / "recipe.toml").write_text(recipe)
    monkeypatch.chdir(tmp_path)
    code = _block("python", "RewardClient(")
    async with Supervisor([ServerProcess("math", ("math", "format"), workers=1)]) as servers:
        (address,) = servers.endpoints["math"]
        code = re.sub(r'\["10\.0\.0\.1:50051", "10\.0\.0\.2:50051"\]', repr([address]), code)
        assert address in code
        names: dict[str, Any] = {}
        exec(compile(code, "README.md", "exec"), names)
        table = names["table"]
        names["client"].close()
    assert table.columns == ("correct", "tags")
    assert table.scores.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert table.advantages[0] > 0 > table.advantages[1]
    assert table.cell(1, "correct").evidence["extracted"] == "41"


def test_the_verifier_example_judges(monkeypatch: Any) -> None:
    code = "from reward_servers import Reference, Rollout, verifier\n" + _block("python", '@verifier("acme/exact"')
    module = ModuleType("readme_example")
    monkeypatch.setitem(sys.modules, "readme_example", module)
    exec(compile(code, "README.md", "exec"), module.__dict__)
    answer = module.__dict__["Answer"](answer="4")
    assert module.__dict__["exact"](Rollout(" 4 "), answer) is True
    assert module.__dict__["exact"](Rollout("5"), answer) is False


def test_the_recipe_example_loads() -> None:
    recipe = Recipe.loads(_block("toml", "[rewards.correct]"))
    assert recipe.columns == ("correct", "tags")
