"""The last stage: sympy in worker processes that can be killed."""
