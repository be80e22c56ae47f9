"""A key under a name that says no unit, or not that it is a maximum, is refused with the name that does."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_servers import ItemLimits
from reward_servers.config import ServerConfig, load_config
from reward_servers.core import ServerLimits, SettingsError
from reward_servers.gateway.settings import load_gateway_config
from trainer_client import Recipe, RecipeError

SERVER = {
    "[server]\ndrain_seconds = 60": "drain_timeout_s",
    "[server]\nconnections = 9": "max_connections",
    "[server]\nstreams = 9": "max_streams",
    "[registry]\nlease = 15": "lease_s",
    "[registration]\nmost = 3": "max_verifiers",
    "[limits]\nitems = 9": "max_items",
    "[limits]\nbytes = 9": "max_bytes",
    "[limits]\nclient_items = 9": "max_client_items",
    "[limits]\nclient_bytes = 9": "max_client_bytes",
    "[limits]\ncall_items = 9": "max_call_items",
    "[limits]\nmessage_bytes = 65536": "max_message_bytes",
    "[item_limits.math]\ncpu = 1": "cpu_s",
    "[item_limits.math]\nwall = 1": "wall_s",
    "[item_limits.math]\nmemory = 1": "memory_bytes",
    "[item_limits.math]\nresponse = 1": "response_bytes",
}
GATEWAY = {
    "[server]\ndrain_seconds = 60": "drain_timeout_s",
    "[server]\nconnections = 9": "max_connections",
    "[limits]\nitems = 9": "max_items",
    "[limits]\nbody_bytes = 2048": "max_body_bytes",
    "[limits]\nbody_seconds = 9": "body_timeout_s",
    "[limits]\nbatch_items = 9": "max_batch_items",
    "[run_code]\nlongest_seconds = 9": "max_run_s",
    "[run_code]\nmemory_bytes = 99": "max_memory_bytes",
}
RECIPE = {"deadline = 9.0": "deadline_s", "timeout = 9.0": "deadline_s", "cpu_limit = 9.0": "max_cpu_s"}


@pytest.mark.parametrize(("text", "name"), SERVER.items())
def test_a_key_of_a_server_without_its_unit_is_refused_with_the_name_that_has_it(
    tmp_path: Path, text: str, name: str
) -> None:
    (tmp_path / "s.toml").write_text(f"{text}\n")
    with pytest.raises(SettingsError, match=name):
        load_config(tmp_path / "s.toml")


@pytest.mark.parametrize(("text", "name"), GATEWAY.items())
def test_a_key_of_the_gateway_without_its_unit_is_refused_with_the_name_that_has_it(
    tmp_path: Path, text: str, name: str
) -> None:
    (tmp_path / "g.toml").write_text(f"{text}\n")
    with pytest.raises(SettingsError, match=name):
        load_gateway_config(tmp_path / "g.toml")


@pytest.mark.parametrize(("text", "name"), RECIPE.items())
def test_a_key_of_a_recipe_without_its_unit_is_refused_with_the_name_that_has_it(text: str, name: str) -> None:
    with pytest.raises(RecipeError, match=f"did you mean {name}"):
        Recipe.loads(f'[rewards.a]\nverifier = "exact"\n{text}\n')


def test_what_a_file_calls_a_limit_is_what_the_code_calls_it(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        "[limits]\nmax_items = 7\nmax_message_bytes = 65536\n[item_limits.math]\ncpu_s = 2.0\nmemory_bytes = 3\n"
    )
    config = load_config(tmp_path / "s.toml")
    assert config.server_limits() == ServerLimits(max_items=7, max_message_bytes=65536)
    assert config.item_limits["math"].model_dump(exclude_none=True) == {"cpu_s": 2.0, "memory_bytes": 3}
    assert set(type(config.item_limits["math"]).model_fields) == set(ItemLimits.__slots__)
    assert set(ServerConfig().limits.model_dump()) == set(ServerLimits.__slots__)
