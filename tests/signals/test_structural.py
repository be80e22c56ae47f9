"""Credit by prefix tree, step and feature; masks of truncated rows; draws by counter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.signals._known import known
from trainer_client.signals import Groups, InputError, OptionError, SignalBatch, method
from trainer_client.signals._draws import uniforms
from trainer_client.signals.advantage.microcoder_grpo import distinct_ngrams, tail_repeats
from trainer_client.signals.credit.graph_grpo import feature_credit
from trainer_client.signals.credit.tempo import prefix_differences

TREE = np.array([[1, 2, 3, 0], [1, 2, 4, 5], [1, 7, 0, 0], [9, 0, 0, 0], [1, 2, 3, 0], [1, 2, 0, 0]])
ENDS = np.array([3, 4, 2, 1, 3, 2])


def by_hand(tokens: np.ndarray, ends: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Changes of one group from the definition."""
    changes = np.zeros(tokens.shape)
    rows = [tuple(row[:end]) for row, end in zip(tokens.tolist(), ends.tolist(), strict=True)]

    def value(prefix: tuple[int, ...]) -> float:
        return float(np.mean([v for row, v in zip(rows, values, strict=True) if row[: len(prefix)] == prefix]))

    for i, row in enumerate(rows):
        for t in range(len(row)):
            changes[i, t] = value(row[: t + 1]) - value(row[:t])
    return changes


def test_changes_along_a_prefix_tree() -> None:
    values = np.array([1.0, 0.25, 0, 0.5, 0.5, 0])
    found = prefix_differences(TREE, ENDS, values, Groups.of([0] * 6))
    assert found == pytest.approx(by_hand(TREE, ENDS, values))
    total = found.sum(1) + values.mean()
    # Rows 0 and 4 are equal and share their value; row 5 is a prefix of three others.
    assert total == pytest.approx([0.75, 0.25, 0, 0.5, 0.75, (1 + 0.25 + 0.5 + 0) / 4])


def test_prefix_trees_of_random_groups_agree_with_the_definition() -> None:
    rng = np.random.default_rng(5)
    for offset in (0, 10**15):
        tokens, ends = rng.integers(0, 3, (20, 6)), rng.integers(0, 7, 20)
        values, groups = rng.normal(size=20), rng.integers(0, 3, 20)
        found = prefix_differences(tokens + offset, ends, values, Groups.of(groups))
        for group in range(3):
            rows = groups == group
            assert found[rows] == pytest.approx(by_hand(tokens[rows], ends[rows], values[rows]))


def test_tempo_is_grpo_with_the_change_at_each_fork() -> None:
    rewards = np.array([1.0, 0, 0, 0])
    tokens = [[1, 2], [1, 3], [4, 2], [4, 2]]
    signal = method("tempo", eps=0.0)(SignalBatch(rewards, [0] * 4, token_ids=tokens, lengths=[2] * 4))
    std = rewards.std(ddof=1)
    assert signal.token_advantages == pytest.approx(
        np.array([[1.0, 1.25], [0, -0.75], [-0.5, -0.25], [-0.5, -0.25]]) / std
    )
    assert signal.report == {"tempo/branching_tokens": 0.75}
    plain = method("tempo", td=0.0)(SignalBatch(rewards, [0] * 4, token_ids=tokens, lengths=[2] * 4))
    assert known(plain.token_advantages)[:, 0] == pytest.approx(
        method("grpo")(SignalBatch(rewards, [0] * 4)).advantages
    )
    equal = method("tempo", eps=0.0)(SignalBatch([0.3] * 4, [0] * 4, token_ids=tokens, lengths=[2] * 4))
    assert not known(equal.token_advantages).any()


def test_a_tools_tokens_are_prefix_and_get_no_credit() -> None:
    batch = SignalBatch([1.0, 0], [0, 0], token_ids=[[1, 8, 2], [1, 9, 2]], mask=[[1, 0, 1], [1, 0, 1]])
    assert known(method("tempo", eps=0.0)(batch).token_advantages)[0] == pytest.approx([2**-0.5, 0, 2**-0.5])


def test_steps_are_credited_with_what_they_gained() -> None:
    batch = SignalBatch(
        groups=[0, 0, 0],
        prefix_scores=[[0, 0.5, 1.0], [0, 0.1, 0.2], [0, 0.3, np.nan]],
        prefix_valid=[[1, 1, 1], [1, 1, 1], [1, 1, 0]],
        steps=[[0, 1, 1], [0, 0, 1], [0, -1, 0]],
        lengths=[3, 3, 3],
    )
    found = known(method("dense_grpo", eps=0.0)(batch).token_advantages)
    first = (np.array([0.5, 0.1, 0.3]) - 0.3) / 0.2
    assert found[:, 0] == pytest.approx(first)
    assert found[0, 1:] == pytest.approx([2**-0.5] * 2)
    assert found[2].tolist() == pytest.approx([first[2], 0, first[2]])
    late = batch.replace(steps=[[0, 1, 2], [0, 0, 1], [0, 0, 0]])
    with pytest.raises(InputError, match="row 0, column 2 names step 2 where there are 2"):
        method("dense_grpo")(late)


def test_an_edge_that_all_or_none_have_is_not_credited() -> None:
    features = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0]], bool)
    advantages = np.array([1.0, 0.0, -1.0])
    groups = Groups.of([0, 0, 0])
    assert feature_credit(advantages, features, groups).tolist() == [[0, 1.5, 0, 1.5]]
    assert feature_credit(advantages, features, groups, against_absent=False).tolist() == [[0, 1, 0, 0.5]]
    signal = method("graph_grpo", ddof=0, eps=0.0)(SignalBatch([3.0, 2, 1], [0, 0, 0], features=features))
    assert signal.feature_advantages == pytest.approx(np.where(features, [0, 1.5, 0, 1.5], 0) * np.sqrt(1.5))


def test_repeating_tails() -> None:
    tokens = np.array([[1, 2, 1, 2, 0], [1, 2, 1, 3, 0], [9, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    assert tail_repeats(tokens, np.array([4, 4, 3, 2]), 2).tolist() == [True, False, False, False]
    assert tail_repeats(tokens, np.array([4, 4, 3, 1]), 1).tolist() == [False, False, True, False]
    assert not tail_repeats(tokens[:, :0], np.zeros(4, int), 1).any()
    with pytest.raises(OptionError, match="at least 1"):
        tail_repeats(tokens, np.array([4, 4, 3, 1]), 0)


def test_distinct_ngrams_of_a_group() -> None:
    tokens = np.array([[1, 2, 3], [1, 2, 0], [5, 5, 5]])
    assert distinct_ngrams(tokens, np.array([3, 2, 3]), Groups.of([0, 0, 1]), 2) == pytest.approx([2 / 3, 1 / 2])
    assert distinct_ngrams(tokens, np.array([1, 1, 1]), Groups.of([0, 0, 1]), 2).tolist() == [0, 0]


def truncated(**more: Any) -> SignalBatch:
    rows = 200
    return SignalBatch(
        np.tile([1.0, 0.0], rows // 2),
        np.zeros(rows, int),
        truncated=np.ones(rows),
        token_ids=np.tile([1, 2, 3, 4], (rows, 1)),
        lengths=np.full(rows, 4),
        step=1,
        **more,
    )


def test_truncated_right_answers_are_spared_at_the_rate() -> None:
    signal = method("microcoder_grpo", width=2)(truncated())
    spared = known(signal.advantages) == 0
    assert not spared[1::2].any()
    assert 15 <= spared[::2].sum() <= 45
    assert signal.weights.all(), "spared rows still count in the loss"
    again = method("microcoder_grpo", width=2)(truncated())
    assert known(again.advantages).tolist() == known(signal.advantages).tolist()
    assert (known(method("microcoder_grpo", rate=1.0, width=2)(truncated()).advantages)[::2] == 0).all()
    assert known(method("microcoder_grpo", rate=0.0, width=2)(truncated()).advantages).all()


def test_loops_and_verdicts_decide_who_may_be_spared() -> None:
    looping = truncated().replace(token_ids=np.tile([1, 2, 1, 2], (200, 1)))
    assert known(method("microcoder_grpo", rate=1.0, width=2)(looping).advantages).all()
    unjudged = truncated(incorrect=np.zeros(200))
    assert not known(method("microcoder_grpo", rate=1.0, width=2)(unjudged).advantages).any()
    diverse = method("microcoder_grpo", width=2, diversity_ngram=2)(truncated()).report
    assert diverse["microcoder/diversity"] == pytest.approx(3 / 600)


def test_draws_depend_on_the_prompt_and_place_alone() -> None:
    both = uniforms(Groups.of(["a", "b", "a"]), seed=1, step=2, stream="x")
    alone = uniforms(Groups.of(["a", "a"]), seed=1, step=2, stream="x")
    assert both[[0, 2]].tolist() == alone.tolist()
    others = [
        uniforms(Groups.of(["a", "a"]), seed=seed, step=step, stream=stream).tolist()
        for seed, step, stream in ((2, 2, "x"), (1, 3, "x"), (1, 2, "y"))
    ]
    assert all(other != alone.tolist() for other in others)
    many = uniforms(Groups.of(np.arange(4000) // 8), seed=0, step=None, stream="x")
    assert abs(many.mean() - 0.5) < 0.02
    assert abs(np.corrcoef(many[:-1], many[1:])[0, 1]) < 0.05
    assert 0 <= many.min() < many.max() < 1
