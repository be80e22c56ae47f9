"""The catalogue: which papers there are, which methods implement them, and how both are shown.

`markdown` is ``docs/methods.md``, `parts_page` is ``docs/parts.md``; `describe` is one method or paper in a terminal,
formula included; `overview` is the list of all methods. All of it is read from the methods' files; nothing here is
imported by them.
"""

from trainer_client.signals.catalogue._render import describe, implemented, markdown, overview, papers, parts_page

__all__ = ["describe", "implemented", "markdown", "overview", "papers", "parts_page"]
