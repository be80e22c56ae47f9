"""Where a recipe has an input from, in words for the page."""

from __future__ import annotations

from trainer_client.signals._inputs import INPUTS, Input

_BY_ITSELF = {
    "rewards": "by itself: the weighted sum of the rewards",
    "groups": "by itself: `group_id`",
    "components": "by itself: the rewards but for monitors; or a list of rewards and `REWARD.ASPECT`, one a column",
    "texts": "by itself: the response",
    "questions": "by itself: the prompt",
    "token_ids": "by itself: the rollout's token ids",
    "token_lists": "by itself: the rollout's token ids",
    "lengths": "by itself: how many token ids the rollout has",
    "truncated": "by itself: `finish_reason`",
    "correct": "by itself: the only reward of the recipe; of several, the one that is named",
    "accuracy": "by itself: the only reward of the recipe; of several, the one that is named",
}
_OF_ROLLOUT = "`metadata.KEY`, `extra.KEY`"
_NUMBERS = {
    "float": f"a reward, `REWARD.ASPECT`, {_OF_ROLLOUT}, `stage.NAME`",
    "bool": f"a reward or `REWARD.ASPECT` with `at_least` or its like, {_OF_ROLLOUT}",
    "int": f"{_OF_ROLLOUT}, `REWARD.ASPECT`",
    "ids": f"{_OF_ROLLOUT}, `REWARD.evidence.KEY`",
    "rows": f"a list or an object in {_OF_ROLLOUT} or `REWARD.evidence.KEY`",
}


def source_of(declared: Input) -> str:
    """What supplies an input in a recipe, for a cell of a table."""
    if declared.name in _BY_ITSELF:
        return _BY_ITSELF[declared.name]
    if any(declared_input.beside == declared.name for declared_input in INPUTS.values()):
        return "by itself: which entries of the input beside it are there"
    match declared.axes:
        case "N":
            return _NUMBERS[declared.kind]
        case "NN":
            return f'an object `{{"rollout_id": number}}` in {_OF_ROLLOUT}, or an array of the `.npz`'
        case "NK" | "NM" | "NO" | "NS":
            return f"a list of sources, one a column: rewards, `REWARD.ASPECT`, {_OF_ROLLOUT}, numbers"
        case "NJC":
            return f"a list of lists of rewards, `REWARD.ASPECT`, numbers; lists in {_OF_ROLLOUT}, the `.npz`"
        case _:
            return f"a list in {_OF_ROLLOUT} or `REWARD.evidence.KEY`, or an array of the `.npz`"
