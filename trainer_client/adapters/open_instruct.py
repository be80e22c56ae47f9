"""open-instruct: a recipe as a verifier.

    from trainer_client.adapters.open_instruct import verifier_of

    Assay = verifier_of("assay", "recipe.toml", {"math": "127.0.0.1:50051"}, on_missing=0.0)   # found by subclass

Rows whose column ``dataset`` says ``assay`` are scored by it. A rollout without a reward raises, or gets the stated
number: open-instruct has no row that is left out. Tested by contract with the sources of August 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trainer_client import Endpoints, Rollout
from trainer_client.adapters.missing import OnMissing
from trainer_client.adapters.singles import RecipeLike, SingleReward, SingleScorer, numeric, rollout_of_sample


def verifier_of(
    name: str,
    recipe: RecipeLike,
    endpoints: Endpoints | None = None,
    *,
    on_missing: OnMissing = "error",
    max_missing: float = 0.2,
) -> type[Any]:
    """Make the class of a verifier.

    Args:
        name: the data set's name for it; open-instruct looks verifiers up in lower case.
        recipe: what to ask: a recipe, the path of one, or a client with its recipe.
        endpoints: where the servers are; a client knows.
        on_missing: ``"error"`` or a number.
        max_missing: share of the latest rollouts without a reward from which an error is raised.

    Raises:
        RecipeError: the recipe cannot be used for single samples.
    """
    from open_instruct.ground_truth_utils import VerificationResult, VerifierFunction

    scorer = SingleScorer(recipe, endpoints, on_missing=numeric(on_missing, "open-instruct"), max_missing=max_missing)

    class AssayVerifier(VerifierFunction):  # type: ignore[misc]
        """A recipe's reward."""

        def __init__(self, verifier_config: Any = None) -> None:
            super().__init__(name.lower(), weight=1.0, verifier_config=verifier_config)

        def __call__(
            self,
            tokenized_prediction: Sequence[int],
            prediction: str,
            label: Any,
            query: str | None = None,
            rollout_state: Any = None,
        ) -> Any:
            """Score a prediction, and wait."""
            return _result(scorer.score(_rollout(tokenized_prediction, prediction, label, query)))

        async def async_call(
            self,
            tokenized_prediction: Sequence[int],
            prediction: str,
            label: Any,
            query: str | None = None,
            rollout_state: Any = None,
        ) -> Any:
            """Score a prediction."""
            return _result(await scorer.score_async(_rollout(tokenized_prediction, prediction, label, query)))

    def _result(result: SingleReward) -> Any:
        codes = ", ".join(f"{key}: {code}" for key, code in result.result.codes.items())
        return VerificationResult(score=result.reward, cost=0.0, reasoning=codes)

    return AssayVerifier


def _rollout(tokens: Sequence[int], prediction: str, label: Any, query: str | None) -> Rollout:
    return rollout_of_sample(query or "", prediction, label, token_ids=tuple(int(token) for token in tokens))
