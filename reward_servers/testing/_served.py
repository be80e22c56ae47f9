"""A verifier served in a process of its own, asked about cases."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reward_servers.core import Verifier
from reward_servers.local import ServerThread
from reward_servers.supervisor import ServerProcess
from reward_servers.testing._cases import Case
from trainer_client import Cell, Recipe, Reward, RewardClient, Server, VerifierId, VerifierInfo

_SERVER = "checked"
_REWARD = "score"


class ServedVerifier:
    """One verifier of a running server.

    Attributes:
        info: What the server says of it.
        id: Its name, version and digest.
    """

    def __init__(self, client: RewardClient, name: str, common: Mapping[str, Any], timeout_s: float) -> None:
        self._client = client
        self._name = name
        self._common = dict(common)
        self._timeout_s = timeout_s
        self.info: VerifierInfo = client.describe()[_REWARD]
        self.id: VerifierId = self.info.id

    def ask(self, cases: Sequence[Case]) -> dict[str, Cell]:
        """The outcome of each case, by its name: in one batch for all cases of the same options."""
        batches: dict[str, list[Case]] = {}
        for case in cases:
            batches.setdefault(case.options, []).append(case)
        cells: dict[str, Cell] = {}
        for options, batch in batches.items():
            recipe = _recipe(self._name, {**self._common, **json.loads(options)}, self._timeout_s)
            table = self._client.with_recipe(recipe).score([case.rollout for case in batch])
            cells.update({name: table.cell(row, _REWARD) for row, name in enumerate(table.rollout_ids)})
        return cells


@contextmanager
def serve(
    verifier: Verifier | str,
    *,
    options: Mapping[str, Any] | None = None,
    config: str | os.PathLike[str] | None = None,
    beside: Sequence[str] = (),
    timeout_s: float = 60.0,
) -> Iterator[ServedVerifier]:
    """Serve a verifier for the length of a check.

    Args:
        verifier: What ``@verifier`` made, its name, or ``module:attribute``.
        options: Options of the verifier for all cases; those of a case come on top.
        config: Settings file of the server.
        beside: Other verifiers to host, for one that asks them.
        timeout_s: Seconds in which an item has to be judged.

    Raises:
        ServerRefusedError: The verifier cannot be served, with the reason.
    """
    # By name it is not imported here: what it needs may be hidden by the folder that the test runs in.
    hosted = (verifier.path if isinstance(verifier, Verifier) else verifier, *beside)
    settings = str(config) if config is not None else None
    # The folders of this process, so that what a test can import its server can. No cache: it would answer for itself.
    program = ServerProcess(
        _SERVER, hosted, settings, "127.0.0.1", 0, 1, plain=True, import_path=_folders(), cache_bytes=0
    )
    with ServerThread([program]) as servers:
        name = servers.verifiers[_SERVER][0]
        recipe = _recipe(name, dict(options or {}), timeout_s)
        with RewardClient(recipe, servers.endpoints) as client:
            yield ServedVerifier(client, name, options or {}, timeout_s)


def _recipe(name: str, options: Mapping[str, Any], timeout_s: float) -> Recipe:
    reward = Reward(_REWARD, name, options=dict(options), deadline_s=timeout_s)
    return Recipe((reward,), "check", (Server(_SERVER, (name,)),), advantage=None, max_missing=1.0)


def _folders() -> tuple[str, ...]:
    return tuple(os.path.abspath(folder) for folder in sys.path if folder == "" or Path(folder).is_dir())
