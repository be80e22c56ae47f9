"""What can go wrong between a rollout and its score.

    RewardError
    ├── RecipeError (ValueError)                  the recipe is wrong: file, line, key, remedy
    ├── RolloutError (ValueError)                 a rollout cannot be used as it is: rollout, field, remedy
    ├── RequestRejectedError                      a server refuses what it is asked: server, verifier, field
    ├── ServerUnavailableError (ConnectionError)  no replica of a server answers
    ├── StateError (ValueError)                   a saved state is of another recipe: keys that differ, remedy
    ├── IncompleteBatchError                      too many scores are missing; carries the table
    ├── BlockingCallError (RuntimeError)          a method that waits was called in a callback
    ├── ForkedProcessError (RuntimeError)         no client can work in this process, for the way it was forked
    └── ClientClosedError (RuntimeError)          the client was used after ``close()``

What happens to a single item (a fault, a skip) is not an exception but an outcome in the `ScoreTable`.
All errors survive pickling, since trainers re-raise them across processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class RewardError(Exception):
    """Root of the errors of this package."""


class RecipeError(RewardError, ValueError):
    """A recipe cannot be used.

    Attributes:
        reason: what is wrong and what to write instead.
        key: dotted key in the recipe, such as ``rewards.correct.weight``.
        line: line in the file, counted from 1; None for a recipe built in code.
        path: the file; None for a recipe built in code or read from a string.
        others: what else is wrong with the same recipe.
    """

    def __init__(
        self,
        reason: str,
        key: str = "",
        line: int | None = None,
        path: str | None = None,
        others: tuple[RecipeError, ...] = (),
    ) -> None:
        super().__init__(reason, key, line, path, others)
        self.reason = reason
        self.key = key
        self.line = line
        self.path = path
        self.others = others

    @classmethod
    def of_all(cls, problems: Sequence[RecipeError]) -> RecipeError:
        """The first of some problems, with the rest as its ``others``."""
        first, *others = problems
        return cls(first.reason, first.key, first.line, first.path, (*first.others, *others))

    @property
    def all(self) -> list[RecipeError]:
        """Each problem on its own, in the order of the file."""
        return sorted(
            [RecipeError(self.reason, self.key, self.line, self.path), *self.others], key=lambda error: error.line or 0
        )

    def __str__(self) -> str:
        place = self.path or ("recipe" if self.line is not None else "")
        if self.line is not None:
            place += f":{self.line}"
        text = ": ".join(part for part in (place, self.key, self.reason) if part)
        if not self.others:
            return text
        listed = f"; `assay recipe {self.path}` lists them" if self.path else f": {'; '.join(map(str, self.others))}"
        return f"{text} (and {len(self.others)} more{listed})"


class RolloutError(RewardError, ValueError):
    """A rollout cannot be used.

    Attributes:
        reason: what is wrong and what is expected.
        field: name of the offending field.
        rollout_id: the rollout, when it is known.
    """

    def __init__(self, reason: str, field: str = "", rollout_id: str = "") -> None:
        super().__init__(reason, field, rollout_id)
        self.reason = reason
        self.field = field
        self.rollout_id = rollout_id

    def __str__(self) -> str:
        place = f"rollout {self.rollout_id!r}" if self.rollout_id else ""
        return ": ".join(part for part in (place, self.field, self.reason) if part)


class RequestRejectedError(RewardError):
    """A server refuses the request; sending it again would not help.

    Attributes:
        reason: the server's words; they name the field.
        code: ``unknown_verifier``, ``invalid_options``, ``version_mismatch``, ``digest_mismatch``,
            ``invalid_request``, ``not_a_reward_server``, ``unauthenticated`` or ``permission_denied``.
        server: name of the server in the recipe.
        endpoint: the replica that refused.
        verifier: the verifier in question; empty when the refusal concerns the whole call.
    """

    def __init__(self, reason: str, code: str = "", server: str = "", endpoint: str = "", verifier: str = "") -> None:
        super().__init__(reason, code, server, endpoint, verifier)
        self.reason = reason
        self.code = code
        self.server = server
        self.endpoint = endpoint
        self.verifier = verifier

    def __str__(self) -> str:
        at = f" at {self.endpoint}" if self.endpoint else ""
        about = f", verifier {self.verifier!r}" if self.verifier else ""
        return f"server {self.server!r}{at}{about}: {self.code}: {self.reason}"


class ServerUnavailableError(RewardError, ConnectionError):
    """No replica of a server answers.

    Attributes:
        server: name of the server in the recipe.
        reason: which replicas were tried and what each said.
    """

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(server, reason)
        self.server = server
        self.reason = reason

    def __str__(self) -> str:
        return f"server {self.server!r}: {self.reason}"


class StateError(RewardError, ValueError):
    """A saved state cannot be used here, or the state that a method needs is not available.

    Attributes:
        keys: keys of the recipe in which what was saved and what is here differ; empty when that is not the reason.
    """

    def __init__(self, reason: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(reason, keys)
        self.reason = reason
        self.keys = keys

    def __str__(self) -> str:
        return self.reason


class ClientClosedError(RewardError, RuntimeError):
    """The client was used after it was closed."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*(args or ("the client is closed; make a new one",)))


class BlockingCallError(RewardError, RuntimeError):
    """A method that waits was called in a callback of a future, on the thread that would have to do the work."""

    def __init__(self, *args: Any) -> None:
        super().__init__(
            *(
                args
                or (
                    "a callback of a future runs on the client's own thread, where waiting for the client would never "
                    "end; hand the result to another thread, or use submit()",
                )
            )
        )


class ForkedProcessError(RewardError, RuntimeError):
    """A client was used in a process that was forked while its parent used ``grpc.aio`` elsewhere.

    gRPC's poller is a thread, which a fork does not copy: every call would wait for ever.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(
            *(
                args
                or (
                    "this process was forked while other code of its parent used grpc.aio, which works in no such "
                    "child; start it by the method 'spawn' or 'forkserver', or fork before that code begins",
                )
            )
        )
