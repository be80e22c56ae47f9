"""The contract between trainers and reward servers: ``assay.rewards.v1``.

The sources are the ``.proto`` files; the Python code beside them is generated (``make gen``) and committed. Clients and
servers share nothing else.
"""

CONTRACT = "assay.rewards.v1"
"""Package name of the contract, as reported by every server."""

__all__ = ["CONTRACT"]
