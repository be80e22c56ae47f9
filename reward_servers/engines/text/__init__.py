"""Texts as models write them: what is visible, what a reader calls the same, and what was stated as the answer.

Nouns: *reasoning* is what stands in spans such as ``<think>``; the *visible* text is the rest; a *form* says which
differences between two texts do not count; a *statement* is a place where a response names its answer in so many words.
"""

from reward_servers.engines.text._choices import Choice, stated_choice
from reward_servers.engines.text._normal import Form
from reward_servers.engines.text._tags import TAG_NAME, check_tags
from reward_servers.engines.text._visible import Visible, boxed, fenced, last_line, tagged, visible

__all__ = [
    "TAG_NAME",
    "Choice",
    "Form",
    "Visible",
    "boxed",
    "check_tags",
    "fenced",
    "last_line",
    "stated_choice",
    "tagged",
    "visible",
]
