"""Which natural language a text is in, by a small model that the package py3langid carries.

A *code* is one of ISO 639-1, such as ``de``; a *stretch* is a part of a text that is identified by itself.
"""

from reward_servers.engines.language._identify import CODES, COMMON, identify, share_in

__all__ = ["CODES", "COMMON", "identify", "share_in"]
