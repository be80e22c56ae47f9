"""Our methods against numbers that their authors' code produced.

``python -m tests.golden FILE...`` runs every vector of the files through the call its ``method`` label is mapped to
and prints ``method passed/total``. `label` maps a label; the tables are the modules of this package.
"""

from . import _assisted_methods, _base, _budgets, _calibrated, _combining, _discriminative, _group_methods, _guided
from ._harness import TABLE, Case, Outcome, differences, label, load, run

__all__ = [
    "TABLE",
    "Case",
    "Outcome",
    "_assisted_methods",
    "_base",
    "_budgets",
    "_calibrated",
    "_combining",
    "_discriminative",
    "_group_methods",
    "_guided",
    "differences",
    "label",
    "load",
    "run",
]
