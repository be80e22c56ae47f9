"""Rubrics made from data: rules from preferences, a rubric for each prompt, one that is refined as training goes on.

Nouns: a *pair* is a prompt with a better and a worse response; a *candidate* is a sentence that a model has proposed as
a criterion, with the prompts that it came from; a *metered* is the model, with what it was asked and what could not be
read. What is written is a file that the verifier `rubric` loads as a set.
"""

from reward_servers.rubrics._autorule import autorule
from reward_servers.rubrics._cases import Case, CasesError, Pair, digest_of, read_cases, read_pairs_as_text
from reward_servers.rubrics._cdrrm import cdrrm
from reward_servers.rubrics._file import RubricFileError, Versions
from reward_servers.rubrics._metered import MeteredModel, ModelUnavailableError
from reward_servers.rubrics._mpo import mpo
from reward_servers.rubrics._result import RubricResult

__all__ = [
    "Case",
    "CasesError",
    "MeteredModel",
    "ModelUnavailableError",
    "Pair",
    "RubricFileError",
    "RubricResult",
    "Versions",
    "autorule",
    "cdrrm",
    "digest_of",
    "mpo",
    "read_cases",
    "read_pairs_as_text",
]
