"""Instructions that a program can check: how long an answer is, what it contains, how it is written.

A *family* is a kind of instruction with a name and arguments; an *instruction* is one of a prompt. To *follow* an
instruction loosely is to follow it once its first and last lines or its asterisks are taken away.
"""

from reward_servers.engines.instructions import _ifbench as _ifbench
from reward_servers.engines.instructions import _ifbench_single as _ifbench_single
from reward_servers.engines.instructions import _ifbench_words as _ifbench_words
from reward_servers.engines.instructions import _ifeval as _ifeval
from reward_servers.engines.instructions._table import (
    FAMILIES,
    Instruction,
    InstructionError,
    loosely,
    read_instruction,
)

__all__ = ["FAMILIES", "Instruction", "InstructionError", "loosely", "read_instruction"]
