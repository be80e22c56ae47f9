"""Training of models that are served: from a file of preferences, steps or outcomes to a directory to serve.

Nouns: a *row* is a line of the file: a pair, a list, a rating, a response in steps or an outcome; the *objective* is
the loss of a batch of rows; the *report* says what the trained model gets right, on rows that it was not trained on.
"""

from reward_servers.training._comparison import train_comparison
from reward_servers.training._files import RowsError
from reward_servers.training._findings import Findings, HeadFindings, RatingReport
from reward_servers.training._objective import Objective
from reward_servers.training._pairs import (
    PreferencePair,
    RatedResponse,
    ScoredList,
    read_pairs,
    read_preferences,
    split_by_prompt,
)
from reward_servers.training._process import LabelledSteps, StepReport, read_steps, train_process
from reward_servers.training._report import Report, report_on
from reward_servers.training._run import train_preference
from reward_servers.training._settings import Run, TrainingError
from reward_servers.training._value import PolicyOutcome, ValueReport, read_outcomes, train_value

__all__ = [
    "Findings",
    "HeadFindings",
    "LabelledSteps",
    "Objective",
    "PolicyOutcome",
    "PreferencePair",
    "RatedResponse",
    "RatingReport",
    "Report",
    "RowsError",
    "Run",
    "ScoredList",
    "StepReport",
    "TrainingError",
    "ValueReport",
    "read_outcomes",
    "read_pairs",
    "read_preferences",
    "read_steps",
    "report_on",
    "split_by_prompt",
    "train_comparison",
    "train_preference",
    "train_process",
    "train_value",
]
