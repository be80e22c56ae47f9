"""The contracts, as ``.proto`` files with the Python code generated from them beside them (``make gen``, committed).

``assay.rewards.v1`` is what trainers and reward servers share, and they share nothing else. ``assay.sandbox.v1`` is
what a reward server and a sandbox on another machine will share; nothing serves it yet.
"""

CONTRACT = "assay.rewards.v1"
"""Package name of the contract of rewards, as reported by every server."""

__all__ = ["CONTRACT"]
