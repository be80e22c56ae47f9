"""Verifiers served in processes of their own, asked about cases."""

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


class CheckServer:
    """A server of some verifiers, for their checks."""

    def __init__(self, names: Mapping[str, str], endpoints: Mapping[str, Sequence[str]]) -> None:
        self._names = names
        self._endpoints = endpoints

    @contextmanager
    def asked(
        self, verifier: Verifier | str, options: Mapping[str, Any] | None, timeout_s: float
    ) -> Iterator[ServedVerifier]:
        """One of its verifiers.

        Args:
            verifier: What ``@verifier`` made, its name, or ``module:attribute``.
            options: Options of the verifier for all cases; those of a case come on top.
            timeout_s: Seconds in which an item has to be judged.

        Raises:
            ValueError: It is not hosted there.
        """
        name = verifier.name if isinstance(verifier, Verifier) else self._names.get(verifier, verifier)
        if name not in self._names.values():
            raise ValueError(f"server: does not host {name}; name it in serve(...)")
        recipe = _recipe(name, dict(options or {}), timeout_s)
        with RewardClient(recipe, self._endpoints) as client:
            yield ServedVerifier(client, name, options or {}, timeout_s)


@contextmanager
def serve(*verifiers: Verifier | str, config: str | os.PathLike[str] | None = None) -> Iterator[CheckServer]:
    """Serve verifiers for the length of some checks.

    Args:
        verifiers: What ``@verifier`` made, names, or ``module:attribute``.
        config: Settings file of the server.

    Raises:
        ServerRefusedError: One of them cannot be served, with the reason.
    """
    # By name it is not imported here: what it needs may be hidden by the folder that the test runs in.
    hosted = tuple(dict.fromkeys(one.path if isinstance(one, Verifier) else one for one in verifiers))
    settings = str(config) if config is not None else None
    # The folders of this process, so that what a test can import its server can. No cache: it would answer for itself.
    program = ServerProcess(
        _SERVER, hosted, settings, "127.0.0.1", 0, 1, plain=True, import_path=_folders(), cache_bytes=0
    )
    with ServerThread([program]) as servers:
        yield CheckServer(dict(zip(hosted, servers.verifiers[_SERVER], strict=True)), servers.endpoints)


@contextmanager
def asked(
    verifier: Verifier | str,
    options: Mapping[str, Any] | None,
    config: str | os.PathLike[str] | None,
    beside: Sequence[str],
    timeout_s: float,
    server: CheckServer | None,
) -> Iterator[ServedVerifier]:
    """A verifier of a server that runs, or of one that is started for it: see `check_verifier`.

    Raises:
        ServerRefusedError: The verifier cannot be served, with the reason.
        ValueError: A server that runs does not host it, or is given what only one that is started takes.
    """
    if server is not None:
        if config is not None or beside:
            raise ValueError("config, beside: are of a server that is started; give them to serve(...)")
        with server.asked(verifier, options, timeout_s) as served:
            yield served
        return
    with serve(verifier, *beside, config=config) as started, started.asked(verifier, options, timeout_s) as served:
        yield served


def _recipe(name: str, options: Mapping[str, Any], timeout_s: float) -> Recipe:
    reward = Reward(_REWARD, name, options=dict(options), deadline_s=timeout_s)
    return Recipe((reward,), "check", (Server(_SERVER, (name,)),), advantage=None, max_missing=1.0)


def _folders() -> tuple[str, ...]:
    return tuple(os.path.abspath(folder) for folder in sys.path if folder == "" or Path(folder).is_dir())
