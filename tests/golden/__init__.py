"""Our methods against numbers that their authors' code produced.

``python -m tests.golden FILE...`` runs every vector of the files through the call its ``method`` label is mapped to
and prints ``method passed/total``. A method's file maps its own labels; the modules of this package map those of
losses, of parts that many methods share, and of judgements, which the servers make.
"""

from importlib import import_module
from pkgutil import iter_modules

from tests.golden._harness import Outcome, differences, load, run
from trainer_client.signals._golden import GOLDEN, Case
from trainer_client.signals._registry import load_all

__all__ = ["GOLDEN", "Case", "Outcome", "differences", "load", "run"]

load_all()
for _module in iter_modules(__path__):
    if _module.name != "__main__":
        import_module(f"{__name__}.{_module.name}")
