"""The core of a reward server: verifiers, requests, executors. It knows nothing of gRPC.

Nouns: a *verifier* is a declared function or class; *hosted*, it has settings and a digest; an *evaluation* asks for it
in a *request*; a *unit* is one rollout (or group) for one evaluation; an *executor* runs units; an *outcome* is a
verdict, a fault or a skip.
"""

from reward_servers.core._admission import Admission, Reservation, ServerLimits, Share
from reward_servers.core._bound import BoundVerifier, Instance, bind, check_settings
from reward_servers.core._call import Call, Deliver
from reward_servers.core._compose import Remote, Remotes
from reward_servers.core._context import Context, VerifierId, item_seed
from reward_servers.core._digest import judging_files
from reward_servers.core._errors import (
    AssayServerError,
    CallerError,
    DatasetError,
    DeviceLostError,
    FaultError,
    OverloadedError,
    RequestError,
    ServiceError,
    SettingsError,
    StartupError,
    UpstreamError,
    VerifierDefinitionError,
    VerifierNotFoundError,
    quoted,
)
from reward_servers.core._hosting import Hosting
from reward_servers.core._model import (
    Content,
    Document,
    Group,
    Message,
    Part,
    PromptContext,
    Rollout,
    ToolCall,
    render,
)
from reward_servers.core._outcomes import Fault, Outcome, Party, Score, Skip, SkipReason, Step, Usage, Verdict
from reward_servers.core._registry import Entry, find, installed
from reward_servers.core._reload import load_fresh, module_of
from reward_servers.core._schemas import Options, Reference, Settings, schema_of
from reward_servers.core._scorer import Scorer
from reward_servers.core._stats import BOUNDS, Histogram, SlowItem, Stats, VerifierStats
from reward_servers.core._styles import styles
from reward_servers.core._verifier import Cost, Item, ItemLimits, Placement, Verifier, is_verifier_name, verifier
from reward_servers.core._work import Evaluation, PlainVerdicts, Request, Result, Source

__all__ = [
    "BOUNDS",
    "Admission",
    "AssayServerError",
    "BoundVerifier",
    "Call",
    "CallerError",
    "Content",
    "Context",
    "Cost",
    "DatasetError",
    "Deliver",
    "DeviceLostError",
    "Document",
    "Entry",
    "Evaluation",
    "Fault",
    "FaultError",
    "Group",
    "Histogram",
    "Hosting",
    "Instance",
    "Item",
    "ItemLimits",
    "Message",
    "Options",
    "Outcome",
    "OverloadedError",
    "Part",
    "Party",
    "Placement",
    "PlainVerdicts",
    "PromptContext",
    "Reference",
    "Remote",
    "Remotes",
    "Request",
    "RequestError",
    "Reservation",
    "Result",
    "Rollout",
    "Score",
    "Scorer",
    "ServerLimits",
    "ServiceError",
    "Settings",
    "SettingsError",
    "Share",
    "Skip",
    "SkipReason",
    "SlowItem",
    "Source",
    "StartupError",
    "Stats",
    "Step",
    "ToolCall",
    "UpstreamError",
    "Usage",
    "Verdict",
    "Verifier",
    "VerifierDefinitionError",
    "VerifierId",
    "VerifierNotFoundError",
    "VerifierStats",
    "bind",
    "check_settings",
    "find",
    "installed",
    "is_verifier_name",
    "item_seed",
    "judging_files",
    "load_fresh",
    "module_of",
    "quoted",
    "render",
    "schema_of",
    "styles",
    "verifier",
]
