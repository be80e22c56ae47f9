"""Imported last by a process that workers are forked from: which code of the verifiers it has loaded."""

from __future__ import annotations

from reward_servers.core._digest import code_digest
from reward_servers.core.executors._fork_parent import judging

digest = code_digest(judging) if judging else ""
"""Workers inherit it: a file that changes later changes neither what they run nor what this says. Empty where the code
of the verifier is not loaded here."""
