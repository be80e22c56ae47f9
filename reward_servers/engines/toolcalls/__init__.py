"""Calls of tools as models write them, and whether two of them are the same.

A *call* has a name and arguments. `read_calls` finds those that appear in a text; `Rules` say which differences between
two values count; `assign` gives each expected call at most one that was made.
"""

from reward_servers.engines.toolcalls._harmony import is_harmony
from reward_servers.engines.toolcalls._matching import Rules, assign, same_arguments, same_value
from reward_servers.engines.toolcalls._reading import Call, MalformedCallError, read_calls, read_object

__all__ = [
    "Call",
    "MalformedCallError",
    "Rules",
    "assign",
    "is_harmony",
    "read_calls",
    "read_object",
    "same_arguments",
    "same_value",
]
