"""The package as others see it."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import trainer_client
from trainer_client import RecipeError, RequestRejectedError, RolloutError, ServerUnavailableError, StateError

ROOT = Path(__file__).parents[2]


def run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()


def roots(statement: str) -> set[str]:
    """Packages beyond the standard library that a statement brings in."""
    program = (
        f"import sys; {statement}; print(*{{n.partition('.')[0] for n in sys.modules}} - set(sys.stdlib_module_names))"
    )
    return set(run(program).split())


def test_nothing_heavy_is_imported() -> None:
    everything = (
        "import trainer_client, trainer_client.signals, trainer_client.adapters.trl; "
        "[getattr(trainer_client, name) for name in trainer_client.__all__]"
    )
    # gRPC itself looks for its companions (health, reflection) and takes what is installed.
    base = roots("import grpc, numpy, google.protobuf.duration_pb2")
    assert roots(everything) - base == {"trainer_client"}


def test_what_works_for_a_client_is_loaded_with_the_first_one() -> None:
    # An old numpy brings some of them itself.
    program = """
import sys, numpy
given = set(sys.modules)
from trainer_client import AsyncRewardClient, Recipe, RewardClient, Rollout, ScoreTable
heavy = "grpc", "google.protobuf", "trainer_client._transport", "trainer_client._client.local", "pathlib", "ipaddress"
recipe = Recipe.loads('[rewards.a]\\nverifier = "m"\\n')
print([name for name in heavy if name in sys.modules.keys() - given])
RewardClient(recipe, "127.0.0.1:1").close()
print(sorted({"grpc", "trainer_client._transport", "trainer_client._client.local"} & set(sys.modules)))
"""
    before, after = run(program).splitlines()
    assert before == "[]"
    assert after == "['grpc', 'trainer_client._transport']"


def test_the_public_names() -> None:
    assert dir(trainer_client) == sorted([*trainer_client.__all__, "__version__"])
    for name in trainer_client.__all__:
        value = getattr(trainer_client, name)
        assert value.__doc__
        if isinstance(value, type) and issubclass(value, Exception):
            assert name.endswith("Error")
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = trainer_client.Nothing


def test_no_page_names_a_distribution_that_no_index_carries() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    told = [page.name for page in pages if re.search(r"pip install '?assay", page.read_text("utf-8"))]
    assert told == []


@pytest.mark.parametrize(
    "error",
    [
        RecipeError("wrong", "rewards.a", 3, "r.toml"),
        RolloutError("wrong", "prompt", "a"),
        RequestRejectedError("wrong", "invalid_options", "s", "h:1", "math"),
        ServerUnavailableError("s", "down"),
        StateError("differs", ("rewards.a.weight",)),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_wrong_calls_are_type_errors(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from trainer_client import AsyncRewardClient, Recipe, Reward, RewardClient, Rollout\n"
        "Rollout('a', 'p', 3)\n"
        "Reward('a', 'm', weight='1')\n"
        "Reward('a', 'm', on_missing={'x': 'zero'})\n"
        "RewardClient(7)\n"
        "RewardClient('recipe.toml').score([], Recipe.loads(''))\n"
        "async def f(c: AsyncRewardClient) -> float:\n"
        "    return c.score([]).rewards\n"
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        str(wrong),
    ]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout
    assert sorted({int(line.split(":")[1]) for line in found.splitlines() if ": error:" in line}) == [2, 3, 4, 5, 6, 8]


def test_a_name_of_the_servers_says_what_it_needs_where_only_the_client_is_installed() -> None:
    program = """
import sys
sys.modules["pydantic"] = None
try:
    from reward_servers import verifier
except ModuleNotFoundError as error:
    print(error.name, error)
"""
    assert (
        run(program)
        == "pydantic reward_servers needs the package pydantic; install it with `pip install 'assay[server]'`"
    )
