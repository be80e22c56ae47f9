"""Trackers: what a method remembers from step to step.

A `Tracker` has ``state_dict()`` and ``load_state_dict()``; the state is JSON-serialisable and resumes exactly.
`RunningMoments` keeps the mean and variance of all it has seen.
"""

from ._moments import RunningMoments
from ._tracker import Tracker

__all__ = ["RunningMoments", "Tracker"]
