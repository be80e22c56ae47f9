"""Everything that the file of a method imports, besides numpy and `trainer_client.signals.parts`.

``docs/signals.md`` shows a complete file.
"""

from trainer_client.signals._arrays import (
    AnyArray,
    BoolArray,
    FloatArray,
    IntArray,
    Reduce,
    as_bools,
    as_floats,
    as_ints,
    require_finite,
)
from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._draws import uniforms
from trainer_client.signals._errors import InputError, MissingInputError, OptionError, SignalError
from trainer_client.signals._golden import Case, golden, one_group
from trainer_client.signals._groups import TOLERANCE, Groups
from trainer_client.signals._inputs import Input
from trainer_client.signals._laws import Laws, labelled, third_column, within_unit
from trainer_client.signals._method import Needs, Paper, register
from trainer_client.signals._pipeline import resolve
from trainer_client.signals._registry import method
from trainer_client.signals._signal import Pair, Request, Signal

__all__ = [
    "TOLERANCE",
    "AnyArray",
    "BoolArray",
    "Case",
    "FloatArray",
    "Groups",
    "Input",
    "InputError",
    "IntArray",
    "Laws",
    "MissingInputError",
    "Needs",
    "OptionError",
    "Pair",
    "Paper",
    "Reduce",
    "Request",
    "Signal",
    "SignalBatch",
    "SignalError",
    "as_bools",
    "as_floats",
    "as_ints",
    "golden",
    "labelled",
    "method",
    "one_group",
    "register",
    "require_finite",
    "resolve",
    "third_column",
    "uniforms",
    "within_unit",
]
