"""Our methods against numbers that their authors' code produced.

``python -m tests.golden FILE...`` runs every vector of the files through the call its ``method`` label is mapped to
and prints ``method passed/total``. `label` maps a label; the tables are the modules of this package, all of which are
imported with it.
"""

from importlib import import_module
from pkgutil import iter_modules

from ._harness import TABLE, Case, Outcome, differences, label, load, run

__all__ = ["TABLE", "Case", "Outcome", "differences", "label", "load", "run"]

for _module in iter_modules(__path__):
    if _module.name != "__main__":
        import_module(f"{__name__}.{_module.name}")
