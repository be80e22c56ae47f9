"""Cross-prompt groups: rewards that compare answers to different prompts which ought to agree.

`group_similarity` compares with the answers to other wordings of a question, `set_overlap` what was retrieved for
them; `token_entropies`, `helpfulness` and `group_stability` ask how much such answers say, and how evenly.
"""

from ._entropy import group_stability, helpfulness, stability, token_entropies
from ._noise import perturb
from ._similarity import group_similarity, set_overlap

__all__ = [
    "group_similarity",
    "group_stability",
    "helpfulness",
    "perturb",
    "set_overlap",
    "stability",
    "token_entropies",
]
