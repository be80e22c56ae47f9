"""The catalogue: which papers there are, which presets implement them, and how both are shown.

`markdown` is ``docs/methods.md``; `describe` is one preset or paper in a terminal, formula included; `overview` is
the list of all presets. Nothing here is imported by the methods themselves.
"""

from ._papers import Paper
from ._render import describe, implemented, markdown, overview, papers

__all__ = ["Paper", "describe", "implemented", "markdown", "overview", "papers"]
