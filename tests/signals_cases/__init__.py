"""Cases from public reports with answers worked out by hand, each run through what a user would call.

``python -m tests.signals_cases FILE...`` prints what differs, and passed over total in the last line. A line holds
``preset`` (what is called), ``inputs``, ``options`` and ``expected``; null is NaN or nothing, ``{"torch": [...]}`` a
tensor. What is called:

- a method, or several with commas between them (a pipeline); ``advantages``; ``combine``; ``Groups.of``;
- ``losses.NAME``, alone or ``+ aggregate``: the loss of the first token and the gradient's sum, or the gradient itself;
- ``recipe advantage=NAME``: a recipe with one reward a column of ``scores`` (the first rollout is right where there are
  none), scored by a server over gRPC, with ``weights``, ``gate``, ``on_missing`` and ``floor``;
- ``TRL adapter ACTION``: one call a rank, each with its part of a group.

``expected`` is a list of numbers or booleans, a count, or a text that asks for an error and names what the error has to
name.
"""

from tests.signals_cases._run import Report, run

__all__ = ["Report", "run"]
