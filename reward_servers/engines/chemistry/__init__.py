"""Chemical formulas and equations as people write them.

A *species* is what a formula names: how many atoms of each element, and its charge. An *equation* has species with
coefficients on two sides.
"""

from reward_servers.engines.chemistry._equations import Equation, is_balanced, read_equation
from reward_servers.engines.chemistry._formulas import FormulaError, Species, read_formula

__all__ = ["Equation", "FormulaError", "Species", "is_balanced", "read_equation", "read_formula"]
