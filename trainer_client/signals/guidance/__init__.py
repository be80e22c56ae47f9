"""Guidance: help for prompts that the policy cannot solve on its own.

`unsolved_groups` is the trigger: prompts whose rollouts are all wrong. `hint_rewards` and `best_hints` say which
hint to give, `guidance_weights` corrects for a context that held help. A `SkillLibrary` keeps skills,
`choose_skill` picks one, `skill_level` says what one does.
`hint_ladder` lists hints from little help to much, `lowest_solving_hint` finds the least that was enough; `extreme_row`
and `first_row` pick the row to build on.
"""

from ._choice import Hint, extreme_row, first_row, hint_ladder, lowest_solving_hint
from ._demonstrations import Mode, demonstration_modes
from ._hints import HintRewards, HintTerm, balance_term, best_hints, hint_rewards, transfer_weight
from ._ratio import guidance_weights
from ._skills import LibraryChanges, SkillChoice, SkillLibrary, choose_skill, skill_level
from ._triggers import unsolved_groups

__all__ = [
    "Hint",
    "HintRewards",
    "HintTerm",
    "LibraryChanges",
    "Mode",
    "SkillChoice",
    "SkillLibrary",
    "balance_term",
    "best_hints",
    "choose_skill",
    "demonstration_modes",
    "extreme_row",
    "first_row",
    "guidance_weights",
    "hint_ladder",
    "hint_rewards",
    "lowest_solving_hint",
    "skill_level",
    "transfer_weight",
    "unsolved_groups",
]
