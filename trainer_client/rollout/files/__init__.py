"""Files of rollouts, whatever their shape."""

from trainer_client.rollout.files._reading import LineProblem, RolloutFile, read_rollouts
from trainer_client.rollout.files._rows import Row, read_rows
from trainer_client.rollout.files._table import rollout_of

__all__ = ["LineProblem", "RolloutFile", "Row", "read_rollouts", "read_rows", "rollout_of"]
