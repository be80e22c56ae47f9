"""Types that the sources of trainers declare which cannot be installed here, as far as our classes use them."""

from __future__ import annotations

from typing import Any, NamedTuple


class EnvironmentReturn(NamedTuple):
    """NeMo-RL's, in the order of its fields."""

    observations: list[dict[str, str]]
    metadata: list[Any]
    next_stop_strings: list[Any]
    rewards: Any
    terminateds: Any
    answers: Any


def install_nemo_rl(modules: Any) -> None:
    """Put them where NeMo-RL has them."""
    modules("nemo_rl.environments.interfaces", EnvironmentInterface=object, EnvironmentReturn=EnvironmentReturn)


class StepOutput:
    """skyrl-gym's."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


def install_skyrl(modules: Any) -> None:
    """Put them where skyrl-gym has them."""
    modules("skyrl_gym.envs.base_text_env", BaseTextEnv=object, BaseTextEnvStepOutput=StepOutput)


class VerificationResult(NamedTuple):
    """open-instruct's."""

    score: float
    cost: float = 0.0
    reasoning: str | None = None


class VerifierFunction:
    """open-instruct's."""

    def __init__(self, name: str, weight: float = 1.0, verifier_config: Any = None) -> None:
        self.name, self.weight = name, weight


def install_open_instruct(modules: Any) -> None:
    """Put them where open-instruct has them."""
    names = {"VerificationResult": VerificationResult, "VerifierFunction": VerifierFunction}
    modules("open_instruct.ground_truth_utils", **names)


class DataProto:
    """ROLL's, as far as a worker sees it."""

    def __init__(self, batch: dict[str, Any], non_tensor_batch: dict[str, Any]) -> None:
        self.batch, self.non_tensor_batch = batch, non_tensor_batch
        self.meta_info: dict[str, Any] = {}

    @classmethod
    def from_dict(cls, tensors: dict[str, Any]) -> DataProto:
        return cls(tensors, {})


class Worker:
    """ROLL's."""

    def __init__(self, worker_config: Any) -> None:
        self.worker_config = worker_config


class Dispatch:
    """ROLL's."""

    ONE_TO_ALL, DP_MP_COMPUTE = "one", "chunks"


def install_roll(modules: Any, tokenizer: Any) -> None:
    """Put them where ROLL has them."""

    def register(**_: Any) -> Any:
        return lambda function: function

    modules("roll.distributed.executor.worker", Worker=Worker)
    modules("roll.distributed.scheduler.decorator", Dispatch=Dispatch, register=register)
    modules("roll.distributed.scheduler.protocol", DataProto=DataProto)
    modules("roll.models.model_providers", default_tokenizer_provider=lambda model_args: tokenizer)


class Rubric:
    """That of verifiers 0.1."""


def install_verifiers(modules: Any) -> None:
    """Put it where verifiers has it."""
    modules("verifiers", Rubric=Rubric, InfraError=type("InfraError", (Exception,), {}))
