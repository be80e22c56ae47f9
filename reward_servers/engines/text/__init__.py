"""Texts as models write them: what is visible, what a reader calls the same, and what was stated as the answer.

Nouns: *reasoning* is what is in spans such as ``<think>``; the *visible* text is what is neither reasoning nor a
comment; a *form* says which differences between two texts do not count; a *statement* is a place where a response names
its answer in so many words.
"""

from reward_servers.engines.text._boxes import Box, box_before, boxed, every_box, read_box
from reward_servers.engines.text._choices import Choice, called_right, named_choices, stated_choice
from reward_servers.engines.text._composed import composed
from reward_servers.engines.text._fences import fenced
from reward_servers.engines.text._hypotheticals import is_supposed
from reward_servers.engines.text._json import strict_json
from reward_servers.engines.text._normal import Form
from reward_servers.engines.text._parts import last_line, tagged
from reward_servers.engines.text._python import parse_expression, parse_python
from reward_servers.engines.text._reasoning import Marks, may_be_marked
from reward_servers.engines.text._tags import TAG_NAME, check_tags
from reward_servers.engines.text._visible import Visible, visible

__all__ = [
    "TAG_NAME",
    "Box",
    "Choice",
    "Form",
    "Marks",
    "Visible",
    "box_before",
    "boxed",
    "called_right",
    "check_tags",
    "composed",
    "every_box",
    "fenced",
    "is_supposed",
    "last_line",
    "may_be_marked",
    "named_choices",
    "parse_expression",
    "parse_python",
    "read_box",
    "stated_choice",
    "strict_json",
    "tagged",
    "visible",
]
