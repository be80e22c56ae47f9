"""A run as one page: plots, and the rollouts of a prompt side by side with what each verifier said of them.

The nouns: an `Entry` is one scored rollout, read from a row of a scored file, which is not trusted; `Numbers` are
what is kept of every row; a `Choice` says which groups are shown and by what rule; a page is one file that asks for
nothing.
"""

from reward_servers.reporting._choose import KINDS, Choice, choose
from reward_servers.reporting._entry import Cell, Entry, NotScoredError, as_text, entry_of
from reward_servers.reporting._numbers import Numbers
from reward_servers.reporting._page import ReportOptions, Rows, write_report

__all__ = [
    "KINDS",
    "Cell",
    "Choice",
    "Entry",
    "NotScoredError",
    "Numbers",
    "ReportOptions",
    "Rows",
    "as_text",
    "choose",
    "entry_of",
    "write_report",
]
