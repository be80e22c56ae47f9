"""Asking language models for verdicts, and reading what they reply.

Nouns: a *protocol* is the form in which a verdict is asked for; a *reply* is what came back, with a *status* and, only
when the status is ok, a value; a *question* is the conversation that asks for it, with the judged texts fenced in;
an *exchange* is the question with its re-asks and replies.
"""

from reward_servers.engines.judging._arguments import SIDES
from reward_servers.engines.judging._asks import LETTERS, Spelling
from reward_servers.engines.judging._backend import Backend, CompletionRequest
from reward_servers.engines.judging._budget import Prices, Spend
from reward_servers.engines.judging._chat import ChatClient
from reward_servers.engines.judging._completion import (
    ChatError,
    ChatRejectedError,
    ChatUnavailableError,
    Completion,
    Token,
)
from reward_servers.engines.judging._control import Controls
from reward_servers.engines.judging._embedded import EmbeddedModel
from reward_servers.engines.judging._exchange import Exchange
from reward_servers.engines.judging._formats import REPLY_FORMATS, read_formatted
from reward_servers.engines.judging._panel import Belief, Vote, agreement, combine, decided
from reward_servers.engines.judging._parse import parse_reply
from reward_servers.engines.judging._question import TEMPLATE, Question
from reward_servers.engines.judging._rate import Rate
from reward_servers.engines.judging._recording import Recording, RecordingError
from reward_servers.engines.judging._reply import MARGINS, Channel, Protocol, Reply, Status, unit_score
from reward_servers.engines.judging._shared import SharedBackend
from reward_servers.engines.judging._template import Template, TemplateError
from reward_servers.engines.judging._writing import WritingTask, WrittenText, write

__all__ = [
    "LETTERS",
    "MARGINS",
    "REPLY_FORMATS",
    "SIDES",
    "TEMPLATE",
    "Backend",
    "Belief",
    "Channel",
    "ChatClient",
    "ChatError",
    "ChatRejectedError",
    "ChatUnavailableError",
    "Completion",
    "CompletionRequest",
    "Controls",
    "EmbeddedModel",
    "Exchange",
    "Prices",
    "Protocol",
    "Question",
    "Rate",
    "Recording",
    "RecordingError",
    "Reply",
    "SharedBackend",
    "Spelling",
    "Spend",
    "Status",
    "Template",
    "TemplateError",
    "Token",
    "Vote",
    "WritingTask",
    "WrittenText",
    "agreement",
    "combine",
    "decided",
    "parse_reply",
    "read_formatted",
    "unit_score",
    "write",
]
