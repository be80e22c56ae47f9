"""Files of rollouts, whatever their shape."""

from trainer_client.rollout.files._reading import (
    Form,
    LineProblem,
    RolloutFile,
    RolloutReader,
    RowPositions,
    read_rollouts,
)
from trainer_client.rollout.files._row import Row, arrow
from trainer_client.rollout.files._rows import STDIN, files_of, read_rows
from trainer_client.rollout.files._shapes import PLAIN, SHAPES
from trainer_client.rollout.files._table import rollout_of

__all__ = [
    "PLAIN",
    "SHAPES",
    "STDIN",
    "Form",
    "LineProblem",
    "RolloutFile",
    "RolloutReader",
    "Row",
    "RowPositions",
    "arrow",
    "files_of",
    "read_rollouts",
    "read_rows",
    "rollout_of",
]
