"""Guidance: help for prompts that the policy cannot solve on its own.

`unsolved_groups` is the trigger: prompts whose rollouts are all wrong.
"""

from ._triggers import unsolved_groups

__all__ = ["unsolved_groups"]
