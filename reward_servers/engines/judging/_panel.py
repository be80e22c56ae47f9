"""From the votes of several judges to one score, and when no further vote is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median


@dataclass(frozen=True, slots=True)
class Vote:
    """What one judge says.

    Attributes:
        judge: Its name.
        score: Between 0 and 1.
        weight: How much it counts.
    """

    judge: str
    score: float
    weight: float = 1.0


def combine(votes: Sequence[Vote], how: str) -> float:
    """One score from votes.

    Args:
        votes: At least one, of positive weight together.
        how: ``"mean"``, weighted; ``"median"``, the middle of the votes, the mean of the two middle ones of an even
            number; ``"trimmed_mean"``, without the lowest and the highest where there are three or more;
            ``"majority"``: 1 if votes of at least one half outweigh the others, 0 if less, 0.5 for as much.

    Returns:
        A score between 0 and 1.

    Raises:
        ValueError: There is no such way, or no vote.
    """
    if not votes:
        raise ValueError("no vote")
    if how == "median":
        return float(median(vote.score for vote in votes))
    if how == "trimmed_mean":
        ordered = sorted(vote.score for vote in votes)
        return fmean(ordered[1:-1] if len(ordered) > 2 else ordered)
    total = sum(vote.weight for vote in votes)
    if how == "mean":
        return sum(vote.weight * vote.score for vote in votes) / total
    if how != "majority":
        raise ValueError(f"{how!r} is not one of mean, median, trimmed_mean, majority")
    lead = sum(vote.weight if vote.score >= 0.5 else -vote.weight for vote in votes)
    return 0.5 if math.isclose(lead, 0.0, abs_tol=1e-9 * total) else float(lead > 0)


def decided(votes: Sequence[Vote], waiting: Sequence[float]) -> bool:
    """Whether a majority stands whatever the others say.

    Args:
        votes: Those that are there.
        waiting: Weights of those that are not.
    """
    lead = sum(vote.weight if vote.score >= 0.5 else -vote.weight for vote in votes)
    return abs(lead) > sum(waiting) + 1e-9


def agreement(votes: Sequence[Vote]) -> float:
    """The share of pairs of votes on the same side of one half; 1 for a single vote."""
    sides = [vote.score >= 0.5 for vote in votes]
    pairs = len(sides) * (len(sides) - 1) // 2
    agreeing = sum(sides[first] == sides[second] for first in range(len(sides)) for second in range(first))
    return agreeing / pairs if pairs else 1.0


@dataclass(frozen=True, slots=True)
class Belief:
    """How likely it is that a response is right, as votes of judges of known reliability come in.

    Attributes:
        right: The probability.
    """

    right: float

    def after(self, said_yes: bool, right_yes: float, wrong_yes: float) -> Belief:
        """The belief after one judge's vote, by Bayes' rule.

        Args:
            said_yes: What it said.
            right_yes: How often it says yes to a right response.
            wrong_yes: How often it says yes to a wrong one.
        """
        likely, unlikely = (right_yes, wrong_yes) if said_yes else (1 - right_yes, 1 - wrong_yes)
        total = self.right * likely + (1 - self.right) * unlikely
        return Belief(self.right * likely / total) if total > 0 else self

    @property
    def certainty(self) -> float:
        """The probability of the likelier of the two."""
        return max(self.right, 1 - self.right)

    def entropy(self) -> float:
        """How much is not known, in bits."""
        return -sum(chance * math.log2(chance) for chance in (self.right, 1 - self.right) if chance > 0)

    def worth_of_asking(self, right_yes: float, wrong_yes: float) -> float:
        """The bits that a vote of such a judge is expected to tell, on average over what it may say."""
        yes = self.right * right_yes + (1 - self.right) * wrong_yes
        left = yes * self.after(True, right_yes, wrong_yes).entropy()
        left += (1 - yes) * self.after(False, right_yes, wrong_yes).entropy()
        return max(0.0, self.entropy() - left)

    def next_judge(self, judges: Mapping[str, tuple[float, float, float]], bits_per_cost: float) -> str | None:
        """The judge whose vote tells most beyond what it costs; None where none is worth it.

        Args:
            judges: For each: how often it says yes to a right and to a wrong response, and what a call costs.
            bits_per_cost: What a vote must tell for each unit of its cost.
        """
        gains = {
            name: self.worth_of_asking(right_yes, wrong_yes) - bits_per_cost * cost
            for name, (right_yes, wrong_yes, cost) in judges.items()
        }
        best = max(gains, key=lambda name: gains[name], default=None)
        return best if best is not None and gains[best] > 0 else None
