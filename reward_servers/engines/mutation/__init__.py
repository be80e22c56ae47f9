"""Mutants: copies of a program with one small fault each, to see whether tests notice it.

    change       one fault in a node of a syntax tree
    mutants_of   a number of faulty copies of a Python program, drawn by a seed

The faults are those of mutation testing tools for Python (mutmut, cosmic-ray): other comparison, moved bound, other
operator, other connective, turned condition, changed constant, and a function that returns nothing.
"""

from reward_servers.engines.mutation._python import Mutant, change, mutants_of

__all__ = ["Mutant", "change", "mutants_of"]
