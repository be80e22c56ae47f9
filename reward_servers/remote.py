"""A verifier on another reward server, asked through the trainer's client: a server that asks a server is a client."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reward_servers.core import (
    CallerFault,
    Content,
    Fault,
    Identity,
    Message,
    Outcome,
    Party,
    Rollout,
    ServiceFault,
    Skip,
    SkipReason,
    Verdict,
)
from trainer_client import AsyncRewardClient, Cell, Document, Recipe, RequestRejected, Reward, RewardError
from trainer_client import Outcome as CellOutcome
from trainer_client import Rollout as SentRollout

__all__ = ["RemoteVerifier"]

_LONGEST = 3600.0


class RemoteVerifier:
    """A verifier on another server, by name and endpoints."""

    def __init__(self, name: str, endpoints: str | list[str]) -> None:
        self._name = name
        self._client = AsyncRewardClient({name: endpoints})

    async def score(
        self, rollout: Rollout, options: bytes, seed: int, remaining: float | None
    ) -> tuple[Outcome, Identity]:
        """Asks it about one rollout.

        Raises:
            CallerFault: The other server refuses what it was asked.
            ServiceFault: It cannot be reached or gave no answer that can be read.
        """
        if remaining is not None and remaining <= 0:
            return Skip(SkipReason.DEADLINE), Identity(self._name, "", "")
        reward = Reward(
            self._name,
            self._name,
            options=json.loads(options) if options else {},
            deadline=min(_LONGEST, remaining) if remaining is not None else _LONGEST,
        )
        recipe = Recipe((reward,), advantage=None, max_missing=1.0)
        try:
            table = await self._client.score([_sent(rollout)], recipe, seed=seed)
        except RequestRejected as error:
            raise CallerFault(str(error), code="invalid_request") from None
        except RewardError as error:
            raise ServiceFault(str(error), code="unavailable", retryable=True) from None
        versions = table.versions[0]
        who = versions[0] if versions else None
        identity = Identity(self._name, who.version if who else "", who.digest if who else "")
        return _outcome(table.cell(0, self._name)), identity

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _sent(rollout: Rollout) -> SentRollout:
    return SentRollout(
        rollout_id=rollout.rollout_id or "rollout",
        prompt=_content(rollout.case.prompt),
        response=_content(rollout.content),
        reference=json.loads(rollout.reference) if rollout.reference else None,
        metadata=rollout.metadata or None,
        finish_reason=rollout.finish_reason,
        documents=[Document(one.id, one.text, one.title, one.uri) for one in rollout.documents],
        token_ids=rollout.token_ids,
    )


def _content(content: Content) -> str | list[dict[str, Any]]:
    return content if isinstance(content, str) else [_message(one) for one in content]


def _message(message: Message) -> dict[str, Any]:
    parts = [{"type": part.kind, "text": part.text} for part in message.parts if part.kind != "blob"]
    sent: dict[str, Any] = {"role": message.role, "content": parts}
    if message.name:
        sent["name"] = message.name
    if message.tool_call_id:
        sent["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return sent


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
    return Fault(party, cell.code, cell.message)
