"""Steps that make data for a run out of a file of rows: noise, mutants, exits, pairs of instructions.

STEPS      the steps by name; a file in this package adds one
prepared   the rows that a step makes of those of a file
"""

from reward_servers.preparing import (
    _comparisons,
    _exits,
    _fused,
    _instructions,
    _mutants,
    _noise,
    _reasoning,
    _replay,
    _swapped,
)
from reward_servers.preparing._step import STEPS, DataStep, RejectedRow, RowError, StepOptions, prepared

# Imported for what they register.
_FILES = (_comparisons, _exits, _fused, _instructions, _mutants, _noise, _reasoning, _replay, _swapped)

__all__ = ["STEPS", "DataStep", "RejectedRow", "RowError", "StepOptions", "prepared"]
