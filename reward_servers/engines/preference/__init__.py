"""Preference models: sequence classifiers that give a conversation one number, from local files.

Nouns: a *conversation* is the turns that are scored; *encoded*, it is token ids with what was cut or made harmless; the
*model* turns each into a logit that depends on nothing but the conversation, whatever is scored beside it.
"""

from reward_servers.engines.preference._encode import Conversation, Encoded, Encoder, EncodingError
from reward_servers.engines.preference._model import ModelUnusable, PreferenceModel

__all__ = ["Conversation", "Encoded", "Encoder", "EncodingError", "ModelUnusable", "PreferenceModel"]
