"""Models from local files: load, prove that the parts fit, tokenise, run.

Nouns: a *conversation* is the turns that are scored; *encoded*, it is token ids with what was cut or made harmless. The
*forward* pass turns each into outputs that depend on the conversation alone, not on others scored beside it.
"""

from reward_servers.engines.models._adapters import Adapters
from reward_servers.engines.models._causal import load_causal
from reward_servers.engines.models._encoding import (
    AddEos,
    Conversation,
    Encoded,
    Encoder,
    EncodingError,
    ResponseRefusedError,
    Template,
)
from reward_servers.engines.models._fit import check_fit
from reward_servers.engines.models._forward import Compute, Forward, Outputs
from reward_servers.engines.models._kernel import Kernel
from reward_servers.engines.models._kinds import (
    NoMemoryError,
    Reader,
    Summary,
    load_encoder,
    load_token_classifier,
    load_towers,
    within_memory,
)
from reward_servers.engines.models._loading import (
    Loaded,
    ModelUnusableError,
    Pooling,
    errors_named,
    head_of,
    load_base,
    load_classifier,
    quietly,
    reads_last,
    takes_segments,
)
from reward_servers.engines.models._memory import is_lost_device
from reward_servers.engines.models._option_likelihood import Chooser, TooLongError
from reward_servers.engines.models._shortening import TextShortener

__all__ = [
    "Adapters",
    "AddEos",
    "Chooser",
    "Compute",
    "Conversation",
    "Encoded",
    "Encoder",
    "EncodingError",
    "Forward",
    "Kernel",
    "Loaded",
    "ModelUnusableError",
    "NoMemoryError",
    "Outputs",
    "Pooling",
    "Reader",
    "ResponseRefusedError",
    "Summary",
    "Template",
    "TextShortener",
    "TooLongError",
    "check_fit",
    "errors_named",
    "head_of",
    "is_lost_device",
    "load_base",
    "load_causal",
    "load_classifier",
    "load_encoder",
    "load_token_classifier",
    "load_towers",
    "quietly",
    "reads_last",
    "takes_segments",
    "within_memory",
]
