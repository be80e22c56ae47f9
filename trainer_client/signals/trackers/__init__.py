"""Trackers: what a method remembers from step to step.

A `Tracker` has ``state_dict()`` and ``load_state_dict()``; the state is JSON-serialisable and resumes exactly.
`RunningMoments` keeps the mean and variance of all it has seen, `FadingMoments` of what it has seen lately.
`SuccessRates` keeps a belief about each prompt, `Multipliers` the price of each constraint.
`RecentSuccess` keeps a prompt's latest results, `OutcomeWindow` those of all prompts, `RecentMeans` the groups' means,
`CountHistogram` how often small numbers come up, `SolvedCorpus` solutions to show again. Prompts are known by ids that
can be saved (`saved_ids`): integers or strings.
"""

from ._counts import CountHistogram
from ._fading import FadingMoments
from ._lengths import LengthHistory, LengthStatistic
from ._moments import RunningMoments
from ._multipliers import Multipliers
from ._quantiles import QuantileTracker
from ._recent_means import RecentMeans
from ._rubric import EvolvingRubric
from ._solved import SolvedCorpus
from ._success import SuccessRates
from ._tracker import Tracker, saved_ids
from ._visits import RecentSuccess
from ._window import OutcomeWindow

__all__ = [
    "CountHistogram",
    "EvolvingRubric",
    "FadingMoments",
    "LengthHistory",
    "LengthStatistic",
    "Multipliers",
    "OutcomeWindow",
    "QuantileTracker",
    "RecentMeans",
    "RecentSuccess",
    "RunningMoments",
    "SolvedCorpus",
    "SuccessRates",
    "Tracker",
    "saved_ids",
]
