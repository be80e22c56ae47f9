"""Preference models: sequence classifiers that give a conversation one number per head, from local files.

Nouns: a *head* is one output of the model with its normaliser and its weight; *raw* is the output itself, *standard*
the output after the normaliser; a *golden score* is one that the model's card or its trainer states.
"""

from reward_servers.engines.preference._heads import Head, combine, named_heads
from reward_servers.engines.preference._likelihood import Continuation, LikelihoodModel
from reward_servers.engines.preference._model import Golden, PreferenceModel
from reward_servers.engines.preference._steps import Kind, Laid, ProcessModel, Step, split_steps
from reward_servers.engines.preference._texts import Closest, CrossModel, TextModel

__all__ = [
    "Closest",
    "Continuation",
    "CrossModel",
    "Golden",
    "Head",
    "Kind",
    "Laid",
    "LikelihoodModel",
    "PreferenceModel",
    "ProcessModel",
    "Step",
    "TextModel",
    "combine",
    "named_heads",
    "split_steps",
]
