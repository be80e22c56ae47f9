"""Verifiers on other reward servers, asked through the trainer's client: a server that asks a server is a client.

Nouns: a *remote* is one such verifier; *peers* are all that a server knows the address of, from its settings or from
the file of the supervisor that started it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reward_servers.core import (
    CallerError,
    Content,
    Fault,
    Message,
    Outcome,
    Party,
    Rollout,
    ServiceError,
    Skip,
    SkipReason,
    Usage,
    Verdict,
    VerifierId,
)
from trainer_client import (
    TLS,
    AsyncRewardClient,
    Cell,
    Document,
    Recipe,
    RequestRejectedError,
    Retries,
    Reward,
    RewardError,
)
from trainer_client import Outcome as CellOutcome
from trainer_client import Rollout as SentRollout

_LONGEST = 3600.0
_OF_THE_ASKER = frozenset({"invalid_options", "invalid_request"})


class Peers:
    """The verifiers on other servers, by name; each is connected to when it is first asked."""

    def __init__(
        self, endpoints: Mapping[str, str | Sequence[str]], file: Path | None = None, tls: TLS | None = None
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            endpoints: Where verifiers are, as the operator says.
            file: Where further ones are: a line that is a JSON object of lists of ``host:port``. It may be empty yet:
                servers that are started together learn of each other when all of them have a port.
            tls: Files for encrypted connections.
        """
        self._endpoints = dict(endpoints)
        self._file = file
        self._tls = tls
        self._remotes: dict[str, RemoteVerifier] = {}

    def get(self, name: str) -> RemoteVerifier | None:
        """A verifier on another server; None when it is not known where it is."""
        if name not in self._remotes:
            if name not in self._endpoints:
                self._read_file()
            if name not in self._endpoints:
                return None
            self._remotes[name] = RemoteVerifier(name, self._endpoints[name], self._tls)
        return self._remotes[name]

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(remote.close() for remote in self._remotes.values()))

    def _read_file(self) -> None:
        if self._file is not None and (text := self._file.read_text("utf-8")).endswith("\n"):
            self._endpoints = {**json.loads(text), **self._endpoints}


class RemoteVerifier:
    """A verifier on another server, by name and endpoints."""

    def __init__(self, name: str, endpoints: str | Sequence[str], tls: TLS | None = None) -> None:
        self._name = name
        recipe = Recipe((Reward(name, name),), advantage=None, max_missing=1.0)
        # A fault that may pass is handed back as one: only the first caller tries again.
        self._client = AsyncRewardClient(recipe, {name: endpoints}, retries=Retries(max_attempts=1), tls=tls)

    async def score(
        self, rollout: Rollout, options: bytes, seed: int, remaining: float | None
    ) -> tuple[Outcome, VerifierId, Usage]:
        """Ask it about one rollout.

        Raises:
            CallerError: The other server refuses the options.
            ServiceError: It cannot be reached, does not host the verifier, or gave no answer that can be read.
        """
        if remaining is not None and remaining <= 0:
            return Skip(SkipReason.DEADLINE), VerifierId(self._name, "", ""), Usage()
        reward = Reward(
            self._name,
            self._name,
            options=json.loads(options) if options else {},
            deadline_s=min(_LONGEST, remaining) if remaining is not None else _LONGEST,
        )
        recipe = Recipe((reward,), advantage=None, max_missing=1.0, reasoning_marks=rollout.reasoning_marks)
        try:
            table = await self._client.with_recipe(recipe).score([_as_sent(rollout)], seed=seed)
        except RequestRejectedError as error:
            if error.code in _OF_THE_ASKER:
                raise CallerError(str(error), code=error.code) from None
            raise ServiceError(str(error), code=error.code) from None
        except RewardError as error:
            raise ServiceError(str(error), code="unavailable", retryable=True) from None
        versions = table.versions[0]
        version = versions[0] if versions else None
        identity = VerifierId(self._name, version.version if version else "", version.digest if version else "")
        cell = table.cell(0, self._name)
        return _outcome(cell), identity, _usage(cell)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _as_sent(rollout: Rollout) -> SentRollout:
    return SentRollout(
        rollout_id=rollout.rollout_id or "rollout",
        prompt=_content(rollout.prompt_context.prompt),
        response=_content(rollout.content),
        reference=json.loads(rollout.reference) if rollout.reference else None,
        metadata=rollout.metadata or None,
        finish_reason=rollout.finish_reason,
        documents=[
            Document(document.id, document.text, document.title, document.uri) for document in rollout.documents
        ],
        token_ids=rollout.token_ids,
    )


def _content(content: Content) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_message(message) for message in content]


def _message(message: Message) -> dict[str, Any]:
    parts = [{"type": part.kind, "text": part.text} for part in message.parts if part.kind != "blob"]
    fields: dict[str, Any] = {"role": message.role, "content": parts}
    if message.name:
        fields["name"] = message.name
    if message.tool_call_id:
        fields["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return fields


def _encoded(value: Mapping[str, Any] | None) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() if value else b""


def _outcome(cell: Cell) -> Outcome:
    if cell.outcome is CellOutcome.VERDICT and cell.score is not None:
        aspects = tuple(cell.aspects.items())
        evidence, feedback = _encoded(cell.evidence), _encoded(cell.feedback)
        return Verdict(cell.score, cell.code, aspects, (), cell.note, evidence, feedback)
    if cell.outcome is CellOutcome.SKIP:
        return Skip(SkipReason(cell.code))
    party = Party(cell.party) if cell.party else Party.SERVICE
    return Fault(party, cell.code, cell.message, cell.retryable, cell.retry_after, _encoded(cell.evidence))


def _usage(cell: Cell) -> Usage:
    """What the other server's work cost; its CPU time is its own."""
    cost = cell.usage
    return Usage(
        upstream_calls=int(cost.get("upstream_calls", 0)),
        input_tokens=int(cost.get("input_tokens", 0)),
        output_tokens=int(cost.get("output_tokens", 0)),
        cost=float(cost.get("cost", 0.0)),
    )
