"""Guidance: help for prompts that the policy cannot solve on its own.

`unsolved_groups` is the trigger: prompts whose rollouts are all wrong. `hint_rewards` says which hint to give,
`guidance_weights` corrects for a context that held help. A `SkillLibrary` keeps skills, `choose_skill` picks one,
`skill_level` says what one does.
"""

from ._hints import HintRewards, HintTerm, balance_term, hint_rewards, transfer_weight
from ._ratio import guidance_weights
from ._skills import LibraryChanges, SkillChoice, SkillLibrary, choose_skill, skill_level
from ._triggers import unsolved_groups

__all__ = [
    "HintRewards",
    "HintTerm",
    "LibraryChanges",
    "SkillChoice",
    "SkillLibrary",
    "balance_term",
    "choose_skill",
    "guidance_weights",
    "hint_rewards",
    "skill_level",
    "transfer_weight",
    "unsolved_groups",
]
