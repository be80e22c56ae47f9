"""Training of preference models: from pairs of responses to a directory that ``assay serve preference`` takes.

Nouns: a *pair* is a prompt with a chosen and a rejected response; the *objective* is the loss of a batch of pairs; the
*report* says what the trained model gets right, on pairs that it was not trained on.
"""

from reward_servers.training._objective import Objective
from reward_servers.training._pairs import PairsError, PreferencePair, read_pairs, split_by_prompt
from reward_servers.training._report import Report, report_on
from reward_servers.training._run import train_preference
from reward_servers.training._settings import Run, TrainingError

__all__ = [
    "Objective",
    "PairsError",
    "PreferencePair",
    "Report",
    "Run",
    "TrainingError",
    "read_pairs",
    "report_on",
    "split_by_prompt",
    "train_preference",
]
