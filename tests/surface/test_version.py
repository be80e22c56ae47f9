"""Both packages and the distribution tell one version."""

from __future__ import annotations

import importlib.metadata

import reward_servers
import trainer_client


def test_there_is_one_version() -> None:
    assert trainer_client.__version__ == reward_servers.__version__ == importlib.metadata.version("assay")
