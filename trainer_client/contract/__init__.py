"""The contract as Python: code generated from ``protos/assay/rewards/v1`` by ``make gen``, and committed.

It is part of this package so that no other package's name is taken: a folder called ``protos`` beside a training script
hides nothing. Trainers and servers share these messages, and nothing else.
"""

CONTRACT = "assay.rewards.v1"
"""Package name of the contract, as reported by every server."""

__all__ = ["CONTRACT"]
