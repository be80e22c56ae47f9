"""Where processor time cannot be measured, no verifier of programs says that it was bounded."""

from __future__ import annotations

from typing import Any

import pytest

from reward_servers import Rollout, ServiceError
from reward_servers.core import PromptContext, find
from reward_servers.verifiers.code import CodeOptions, CodeSettings, Tests
from reward_servers.verifiers.papers.mutation import Implementations, MutationOptions

TESTS = "```python\nassert twice(2) == 4\n```"
PROGRAM = "def twice(n):\n    return 2 * n\n"


def _code() -> tuple[Any, Any, Any]:
    tests = {"kind": "assert", "code": "assert twice(2) == 4"}
    return (
        find("code").target(),
        Tests.model_validate({"tests": tests, "limits": {"cpu_s": 1.0}}),
        CodeOptions.model_validate({}),
    )


def _mutation() -> tuple[Any, Any, Any]:
    return (
        find("mutation").target(),
        Implementations.model_validate({"program": PROGRAM}),
        MutationOptions.model_validate({}),
    )


@pytest.mark.parametrize("made", [_code, _mutation])
def test_a_bound_that_cannot_be_measured_is_a_fault(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Such a host is one whose containers gVisor runs.
    monkeypatch.setattr(CodeSettings, "bounds_cpu", lambda self, slots: self.unmeasured_cpu == "wall")
    text = TESTS if made is _mutation else f"```python\n{PROGRAM}```"
    for unmeasured, code in (("refuse", "unmeasured_limit"), ("wall", "")):
        instance, reference, options = made()
        instance.setup(CodeSettings.model_validate({"unmeasured_cpu": unmeasured}))
        try:
            rollout = Rollout(text, PromptContext("g", "q"), "r")
            if code:
                with pytest.raises(ServiceError) as found:
                    instance.score(rollout, reference, options)
                assert found.value.code == code
            else:
                assert instance.score(rollout, reference, options).code == "accepted"
        finally:
            instance.close()
