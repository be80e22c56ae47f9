"""Preference models: sequence classifiers that give a conversation one number per head, from local files.

Nouns: a *head* is one output of the model with its normaliser and its weight; *raw* is the output itself, *standard*
the output after the normaliser; a *golden score* is one that the model's card or its trainer states.
"""

from reward_servers.engines.preference._heads import Head, combine, named_heads
from reward_servers.engines.preference._likelihood import Continuation, LikelihoodModel
from reward_servers.engines.preference._model import Golden, PreferenceModel
from reward_servers.engines.preference._pictures import PictureInput, PictureKind, PictureModel, PictureScore
from reward_servers.engines.preference._steps import Kind, Layout, ProcessModel, Step, TokenisedSteps, split_steps
from reward_servers.engines.preference._texts import (
    PAIR_LAYOUT,
    ClosestReference,
    CrossModel,
    TextModel,
    Texts,
    laid_out,
)
from reward_servers.engines.preference._value import (
    VALUE_FILE,
    ValueModel,
    ValueParameters,
    expect,
    take_in,
    write_value,
)

__all__ = [
    "PAIR_LAYOUT",
    "VALUE_FILE",
    "ClosestReference",
    "Continuation",
    "CrossModel",
    "Golden",
    "Head",
    "Kind",
    "Layout",
    "LikelihoodModel",
    "PictureInput",
    "PictureKind",
    "PictureModel",
    "PictureScore",
    "PreferenceModel",
    "ProcessModel",
    "Step",
    "TextModel",
    "Texts",
    "TokenisedSteps",
    "ValueModel",
    "ValueParameters",
    "combine",
    "expect",
    "laid_out",
    "named_heads",
    "split_steps",
    "take_in",
    "write_value",
]
