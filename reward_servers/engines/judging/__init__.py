"""Asking language models for verdicts, and reading what they reply.

Nouns: a *protocol* is the form in which a verdict is asked for; a *reply* is what came back, with a *status* and, only
when the status is ok, a value; a *question* is the conversation that asks for it, with the judged texts fenced in.
"""

from reward_servers.engines.judging._parse import parse_reply
from reward_servers.engines.judging._reply import MARGINS, SCALES, Protocol, Reply, Status

__all__ = ["MARGINS", "SCALES", "Protocol", "Reply", "Status", "parse_reply"]
