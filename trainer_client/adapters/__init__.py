"""Adapters: one file for each trainer, none of which is imported here.

An adapter gives a trainer the function it expects, and turns what the trainer hands over into rollouts.
"""

__all__: list[str] = []
