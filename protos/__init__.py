"""The contracts, as ``.proto`` files with the Python code generated from them beside them (``make gen``, committed).

``assay.rewards.v1`` is what trainers and reward servers share, and they share nothing else.
"""

CONTRACT = "assay.rewards.v1"
"""Package name of the contract of rewards, as reported by every server."""

__all__ = ["CONTRACT"]
