"""What servers in a Ray cluster are told is checked before anything starts, and without Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reward_servers.core import SettingsError
from reward_servers.ray_settings import application_arguments, check_name, servers_arguments

SERVE = Path(__file__).resolve().parents[2] / "deploy" / "ray" / "serve.yaml"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "a:b"}, r'Servers\.name: must have letters, digits, "\.", "_" and "-" only'),
        ({"name": "my servers"}, r"Servers\.name: must have letters"),
        ({"name": ""}, r"Servers\.name: must have letters"),
        ({"name": 3}, r"Servers\.name: Input should be a valid string"),
        ({"verifiers": "math"}, r"Servers\.verifiers: must be a list of texts, such as \['math'\]"),
        ({"verifiers": 3}, r"Servers\.verifiers: must be a list of texts"),
        ({"verifiers": []}, r"Servers\.verifiers: .* should have at least 1 item"),
        ({"verifiers": ["math", 3]}, r"Servers\.verifiers\.1: Input should be a valid string"),
        ({"verifiers": [""]}, r"Servers\.verifiers\.0: String should have at least 1 character"),
        (
            {"options": "--log-format json"},
            r"Servers\.options: must be a list of texts, such as \['--log-format', 'json'\]",
        ),
        ({"options": ["--reflection", True]}, r"Servers\.options\.1: must be a text, not True; put it in quotes"),
        ({"options": [None]}, r"Servers\.options\.0: must be a text, not None"),
        ({"replicas": 0}, r"Servers\.replicas: Input should be greater than or equal to 1"),
        ({"replicas": True}, r"Servers\.replicas: Input should be a valid integer"),
        ({"workers": 0}, r"Servers\.workers: Input should be greater than or equal to 1"),
        ({"workers": "8"}, r"Servers\.workers: Input should be a valid integer"),
        ({"detached": "no"}, r"Servers\.detached: Input should be a valid boolean"),
        ({"resources": ["num_gpus"]}, r"Servers\.resources: Input should be a valid dictionary"),
        ({"resources": {"namespace": "mine"}}, r"Servers\.resources: namespace is decided by the other arguments"),
    ],
)
def test_servers_that_cannot_be_are_refused_with_the_argument(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=f"^{told}"):
        servers_arguments(**{"name": "math", "verifiers": ["math"], **change})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"worker": 8}, r"args\.worker: there is no such field; did you mean workers\?"),
        ({"autoscale": {}}, r"args\.autoscale: there is no such field; did you mean autoscaling\?"),
        ({"option": []}, r"args\.option: there is no such field; did you mean options\?"),
        ({"replicas": 2}, r"args\.replicas: there is no such field"),
        ({"verifiers": "math"}, r"args\.verifiers: must be a list of texts, such as \['math'\]"),
        ({"options": "--log-format json"}, r"args\.options: must be a list of texts"),
        ({"name": None}, r"args\.name: Input should be a valid string"),
        ({"autoscaling": None}, r"args\.autoscaling: Input should be a valid dictionary"),
    ],
)
def test_an_application_that_cannot_be_is_refused_with_the_key(change: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=f"^{told}"):
        application_arguments({"name": "math", "verifiers": ["math"], **change})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^args\.name: is missing; args\.verifiers: is missing$"):
        application_arguments({})
    told: Any = ["math"]
    with pytest.raises(SettingsError, match=r"^args: Input should be a valid dictionary"):
        application_arguments(told)


def test_a_name_that_clients_cannot_ask_for_is_refused() -> None:
    check_name("math-v2.1_b")
    with pytest.raises(SettingsError, match=r"^name: must have letters"):
        check_name("a:b")


def test_what_can_be_is_taken_as_it_is() -> None:
    told = application_arguments(yaml.safe_load(SERVE.read_text())["applications"][0]["args"])
    assert (told.name, told.verifiers, told.workers, told.autoscaling["max_replicas"]) == (
        *("math", ["math", "format"], 4, 8),
    )
    # YAML reads a port as a number, and any sequence is a list.
    servers = servers_arguments(name="math", verifiers=("math",), options=["--port", 8080], resources={"num_gpus": 1})
    assert (servers.verifiers, servers.options) == (["math"], ["--port", "8080"])
    assert (servers.workers, servers.replicas, servers.detached, servers.resources) == (1, 1, False, {"num_gpus": 1})
