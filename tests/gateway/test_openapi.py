"""Requests made from the gateway's own description: none of them may be a defect."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from tests.gateway.conftest import Start, get

PATHS = (
    "/v1/score", "/openrlhf", "/slime", "/slime/number", "/evaluate", "/verify", "/seed_session", "/aggregate_metrics",
    "/score", "/pooling", "/classify", "/rewards", "/aws", "/fireworks", "/reverify_mode", "/health",
    "/ready", "/v1/recipe",
)  # fmt: skip
CHECKS = (not_a_server_error, response_schema_conformance, status_code_conformance)


@pytest.fixture(scope="module")
def description(gateway: Start) -> schemathesis.schemas.BaseSchema:
    rewards = '[rewards.correct]\nverifier = "length"\noptions = { max = 100 }\n'
    url = gateway(rewards, "--on-missing", "0", settings="max_missing = 1.0\n")
    told = get(f"{url}/openapi.json").json()
    assert set(told["paths"]) == set(PATHS)
    schema = schemathesis.openapi.from_dict(told)
    schema.config.update(base_url=url)
    return schema


@pytest.mark.parametrize("path", PATHS)
def test_every_described_request_is_answered_as_described(
    description: schemathesis.schemas.BaseSchema, path: str
) -> None:
    (operation,) = description[path].values()

    @settings(max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def answered(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=list(CHECKS))

    answered()
