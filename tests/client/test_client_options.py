"""What a recipe says of how its servers are asked reaches the client, which goes by what it is told itself first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trainer_client import TLS, Batching, Recipe, RecipeError, Retries, RewardClient, Rollout, ServerUnavailableError
from trainer_client.recipe.client_options import ClientOptions
from trainer_client.testing import FakeServer, Item

REWARD = '[rewards.a]\nverifier = "v"\n'
TEXT = f"""
advantage = "none"
[client]
pin = false
token = "file:secrets/token"
[client.retries]
unavailable_timeout_s = 30
[client.batching]
max_items = 2
[client.tls]
ca = "ca.pem"
{REWARD}"""


def test_a_file_says_it_with_paths_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(TEXT)
    told = Recipe.load(tmp_path / "r.toml").client
    assert told is not None
    assert (told.pin, told.batching, told.retries) == (
        False, Batching(max_items=2), Retries(unavailable_timeout_s=30),
    )  # fmt: skip
    assert told.tls is not None
    assert (told.tls.ca, told.tls.key) == (str(tmp_path / "ca.pem"), None)
    assert told.token == f"file:{tmp_path}/secrets/token"


def test_it_changes_nothing_of_what_is_asked() -> None:
    assert Recipe.loads(TEXT) == Recipe.loads('advantage = "none"\n' + REWARD)
    server = '[servers.v]\nverifiers = ["v"]\n'
    told = server + 'token = "file:t"\ntls = { ca = "ca.pem" }\nworkers = 2\n'
    assert Recipe.loads(REWARD + told).digest == Recipe.loads(REWARD + server).digest


def test_a_server_has_files_of_its_own_before_those_of_all(tmp_path: Path) -> None:
    own = '[servers.one]\nverifiers = ["v"]\ntls = { ca = "own.pem" }\ntoken = "file:own"\n'
    other = '[servers.two]\nverifiers = ["w"]\n[rewards.w]\nverifier = "w"\n'
    (tmp_path / "r.toml").write_text(TEXT + own + other)
    recipe = Recipe.load(tmp_path / "r.toml")
    told = recipe.client
    assert told is not None
    with pytest.raises(FileNotFoundError, match=r"own\.pem"):
        RewardClient(replace(recipe, client=None), "127.0.0.1:9")
    one, two = (server.access(told.tls, told.token) for server in recipe.servers)
    assert one == (TLS(ca=str(tmp_path / "own.pem")), f"file:{tmp_path}/own")
    assert two == (TLS(ca=str(tmp_path / "ca.pem")), f"file:{tmp_path}/secrets/token")


def test_calls_are_cut_and_patience_ends_as_it_says() -> None:
    text = TEXT.replace('token = "file:secrets/token"\n', "").replace('[client.tls]\nca = "ca.pem"\n', "")
    calls: list[str] = []

    def script(item: Item) -> float:
        calls.append(item.response)
        return 1.0

    with FakeServer({"v": script}) as server:
        address = server.address
        with RewardClient(Recipe.loads(text), address) as client:
            rows = [Rollout(f"r{n}", "q", "x", group_id=f"g{n}") for n in range(6)]
            assert client.score(rows).mask.all()
            assert client._core._settings.pin is False
            assert client._core._settings.batching.max_items == 2
        with RewardClient(Recipe.loads(text), address, pin=True, batching=Batching(max_items=9)) as client:
            assert client._core._settings.pin is True
            assert client._core._settings.batching.max_items == 9
            assert client._core._settings.retries.unavailable_timeout_s == 30
    hasty = text.replace("unavailable_timeout_s = 30", "unavailable_timeout_s = 0.3")
    with (
        RewardClient(Recipe.loads(hasty), address) as client,
        pytest.raises(ServerUnavailableError, match=r"for 0\.3 s"),
    ):
        client.describe()


def test_a_token_is_sent_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    (tmp_path / "r.toml").write_text(f'[client]\ntoken = "file:token"\n{REWARD}')
    client = RewardClient(tmp_path / "r.toml", "127.0.0.1:9")
    assert client._core._settings.token == f"file:{tmp_path}/token"


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("[client]\npinn = true", "client.pinn", "did you mean pin?"),
        ('[client]\npin = "no"', "client.pin", "expected true or false"),
        ('[client]\ntoken = "hush"', "client.token", "is a secret"),
        ("[client.retries]\npatience = 5", "client.retries.patience", "is not a key here"),
        ("[client.retries]\nunavailable_timeout_s = -1", "client.retries.unavailable_timeout_s", "-1 is negative"),
        ("[client.batching]\nmax_items = 1.5", "client.batching.max_items", "expected a whole number"),
        ("[client.tls]\nca = 3", "client.tls.ca", "expected text"),
    ],
)
def test_mistakes_are_told_with_their_key(text: str, key: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        Recipe.loads(f"{text}\n{REWARD}")
    assert (caught.value.key, caught.value.line) == (key, 2)


def test_none_is_said_where_there_is_none() -> None:
    assert Recipe.loads(REWARD).client is None
    assert ClientOptions() == ClientOptions(pin=None)
