"""Messages into outcomes."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from google.protobuf.duration_pb2 import Duration

from trainer_client._transport.failures import REFUSAL_CODES, UnusableReplyError, bounded_delay
from trainer_client._transport.wire.columns import check_columns, settle_columns
from trainer_client._transport.wire.info import read_id
from trainer_client.contract.aspect_names import MOST_NAMES, AspectNames, Renumbering
from trainer_client.contract.v1 import reward_service_pb2 as service
from trainer_client.contract.v1 import types_pb2 as types
from trainer_client.result.outcomes import ClientOutcome, Outcome, OutcomeStore, Party
from trainer_client.result.verifiers import VerifierId

Reply: TypeAlias = service.ScoreStreamResponse | service.ScoreResponse

_SKIPS: Final = {
    types.SKIP_REASON_DEADLINE: "deadline",
    types.SKIP_REASON_NOT_NEEDED: "not_needed",
    types.SKIP_REASON_OVERLOADED: "overloaded",
}
_EARLY: Final = 1.0
"""Seconds before the call's deadline from which on a skip for that reason is believed."""
_LONGEST_CODE: Final = 128
_MOST_CODES: Final = 4096


class Ending(enum.Enum):
    """What a result without a score means for its item."""

    FINAL = enum.auto()
    """The server will not say anything else."""
    RETRYABLE = enum.auto()
    """A fault that may pass."""
    OVERLOADED = enum.auto()
    """The server was full, and has done no work on it."""
    WRONG_VERSION = enum.auto()
    """The replica hosts another version than the one pinned."""
    REFUSED = enum.auto()
    """The request is wrong, and not the item."""
    UNUSABLE = enum.auto()
    """No outcome, or one that the verifier cannot have given."""


class ScorelessResult(NamedTuple):
    """What a server said of an item without giving a score. The cell is still open.

    Attributes:
        row: its row.
        column: its column.
        ending: what it means.
        outcome: what to settle the cell with if it is not tried again.
        retry_after: seconds to wait, as the server asks.
        source: the message, for reading the rest of it later; None where it says nothing.
    """

    row: int
    column: int
    ending: Ending
    outcome: ClientOutcome
    retry_after: float = 0.0
    source: types.Result | None = None


class ReplyReader:
    """Reads the replies to one call into a store. Only what the call asked is believed, and that once.

    A message is taken whole or not at all.

    Args:
        store: where verdicts go.
        columns: column of each evaluation of the call.
        rows: the rollouts that were sent.
        expected: what answers each evaluation, as the replica has declared it; its digest is the one pinned, if any.

    Attributes:
        awaited: what is not answered yet, as ``row * evaluations + evaluation``.
    """

    __slots__ = ("_columns", "_expected", "_headers", "_ranges", "_store", "awaited")

    def __init__(
        self, store: OutcomeStore, columns: Sequence[int], rows: Iterable[int], expected: Sequence[ExpectedVerifier]
    ) -> None:
        width = len(columns)
        self._store = store
        self._columns = columns
        self._expected = expected
        self._ranges = [(verifier.low, verifier.high) for verifier in expected]
        self._headers = [Renumbering((), AspectNames())] * width
        self.awaited = set(rows) if width == 1 else {row * width + e for row in rows for e in range(width)}

    def read(self, reply: Reply, remaining: float) -> tuple[int, list[ScorelessResult]]:
        """Settle the cells that a reply has verdicts for.

        Args:
            reply: results in any order.
            remaining: seconds until the call's deadline.

        Returns:
            How many verdicts it holds, and what it says without a score, whose cells stay open.

        Raises:
            UnusableReplyError: it answers what was not asked, or twice, or as another verifier; no cell was settled.
        """
        self._check_identities(reply.verifiers)
        store, columns, ranges, width = self._store, self._columns, self._ranges, len(self._columns)
        state, scores, codes, numbers = store.state, store.scores, store.codes, store.numbers
        sources, left, table_width = store.sources, store.left, store.width
        answer = self.awaited.remove
        pending = Outcome.PENDING.value
        verdicts = 0
        cells_taken: list[int] = []
        scoreless: list[ScorelessResult] = []
        complete: list[int] = []
        for result in reply.results:
            row, evaluation = result.index, result.evaluation
            try:
                if evaluation >= width:
                    raise KeyError
                answer(row * width + evaluation)
            except KeyError:
                self._take_back(cells_taken)
                raise _not_asked(row, evaluation) from None
            cell = row * table_width + columns[evaluation]
            if not result.HasField("verdict"):
                scoreless.append(_read_scoreless(result, row, columns[evaluation], remaining))
                continue
            verdict = result.verdict
            score, code = verdict.score, verdict.code
            number = numbers.get(code)
            low, high = ranges[evaluation]
            # The comparison is false for NaN as well.
            if not low <= score <= high or (number is None and not _is_code(code, store)):
                scoreless.append(_unusable_verdict(row, columns[evaluation], verdict, low, high))
                continue
            if number is None:
                number = store.number_of(code)
            verdicts += 1
            # Settled already: by a copy of the work elsewhere, or given up.
            if state[cell] != pending:
                continue
            self._headers[evaluation].apply(verdict.aspects)
            state[cell], scores[cell], codes[cell], sources[cell] = 1, score, number, result
            cells_taken.append(cell)
            left[row] -= 1
            if not left[row]:
                complete.append(row)
        if reply.columns.index:
            verdicts += self._read_columns(reply.columns, cells_taken, scoreless, complete)
        store.announce(complete)
        return verdicts, scoreless

    def _read_columns(
        self,
        message: service.ResultColumns,
        cells_taken: Sequence[int],
        scoreless: list[ScorelessResult],
        complete: list[int],
    ) -> int:
        """Settle cells from columns: how many verdicts there are. What is unusable and complete rows are added.

        Raises:
            UnusableReplyError: see `check_columns`; cells that rows of the same message have settled are open again.
        """
        try:
            verdicts = check_columns(message, len(self._columns), self.awaited)
        except UnusableReplyError:
            self._take_back(cells_taken)
            raise
        lows, highs = np.array(self._ranges, np.float64).T
        evaluations = verdicts.evaluations
        numbers = np.array([self._number_of(code) for code in message.codes], np.int64)[verdicts.codes]
        # False for NaN as well.
        good = (lows[evaluations] <= verdicts.scores) & (verdicts.scores <= highs[evaluations]) & (numbers >= 0)
        for at in np.flatnonzero(~good).tolist():
            row, evaluation = int(verdicts.rows[at]), int(evaluations[at])
            verdict = types.Verdict(score=verdicts.scores[at], code=message.codes[int(verdicts.codes[at])])
            scoreless.append(_unusable_verdict(row, self._columns[evaluation], verdict, *self._ranges[evaluation]))
        complete += settle_columns(self._store, verdicts, good, numbers, self._columns, message)
        return int(good.sum())

    def _number_of(self, code: str) -> int:
        """Position of a code in the store's; -1 for what cannot be one."""
        number = self._store.numbers.get(code)
        if number is not None:
            return number
        return self._store.number_of(code) if _is_code(code, self._store) else -1

    def _check_identities(self, identities: Sequence[types.VerifierIdentity]) -> None:
        if len(identities) > len(self._columns):
            raise UnusableReplyError(f"{len(identities)} verifiers answer {len(self._columns)} evaluations")
        for identity, expected in zip(identities, self._expected, strict=False):
            if identity.name != expected.name or (expected.digest and identity.digest != expected.digest):
                raise UnusableReplyError(
                    f"{identity.name!r} with digest {identity.digest!r} answers what was asked of {expected.name!r}"
                    + (f" with digest {expected.digest!r}" if expected.digest else "")
                )
        for evaluation, (column, identity) in enumerate(zip(self._columns, identities, strict=False)):
            self._note(evaluation, column, read_id(identity))

    def _note(self, evaluation: int, column: int, identity: VerifierId) -> None:
        """Note who answers. Verdicts may name aspects as they come, and two replicas in another order."""
        versions = self._store.versions[column]
        noted = versions.get(identity.digest, identity)
        names = tuple(dict.fromkeys((*noted.aspects, *identity.aspects)))
        versions[identity.digest] = noted._replace(aspects=names[:MOST_NAMES])
        self._headers[evaluation] = Renumbering(identity.aspects, self._store.aspects[column])

    def _take_back(self, cells: Iterable[int]) -> None:
        store = self._store
        for cell in cells:
            store.state[cell] = Outcome.PENDING
            store.scores[cell] = float("nan")
            store.codes[cell] = 0
            store.sources[cell] = None
            store.left[cell // store.width] += 1

    def unanswered(self) -> list[ScorelessResult]:
        """What a call that ended well has left out."""
        width = len(self._columns)
        words = "the server ended the call without an outcome for this item"
        return [_unusable_item(key // width, self._columns[key % width], words) for key in sorted(self.awaited)]


class ExpectedVerifier(NamedTuple):
    """Who has to answer an evaluation: name, digest (empty for any), and the range of scores that it declared."""

    name: str
    digest: str
    low: float
    high: float


def _is_code(code: str, store: OutcomeStore) -> bool:
    """Whether a code can be one: they are few, short, and end up in logs."""
    return len(code) <= _LONGEST_CODE and (not code or code.isprintable()) and len(store.code_names) < _MOST_CODES


def _not_asked(row: int, evaluation: int) -> UnusableReplyError:
    return UnusableReplyError(
        f"a result for index {row}, evaluation {evaluation}, which was not asked or is answered already"
    )


def _unusable_verdict(row: int, column: int, verdict: types.Verdict, low: float, high: float) -> ScorelessResult:
    if low <= verdict.score <= high:
        return _unusable_item(row, column, f"a verdict with the code {verdict.code[:40]!r}")
    return _unusable_item(row, column, f"the score {verdict.score}, which is not between {low:g} and {high:g}")


def _unusable_item(row: int, column: int, words: str) -> ScorelessResult:
    outcome = ClientOutcome(Outcome.FAULT, "invalid_reply", Party.SERVICE, words)
    return ScorelessResult(row, column, Ending.UNUSABLE, outcome)


def _read_scoreless(result: types.Result, row: int, column: int, remaining: float) -> ScorelessResult:
    """Read a fault, a skip, or a result that is neither."""
    kind = result.WhichOneof("outcome")
    if kind == "skip":
        code = _SKIPS.get(result.skip.reason)
        if code is None:
            return _unusable_item(row, column, f"a skip for a reason that is not known ({result.skip.reason})")
        if code == "deadline" and remaining > _EARLY:
            return _unusable_item(row, column, f"skipped as past its deadline, {remaining:.1f} s before it")
        outcome = ClientOutcome(Outcome.SKIP, code)
        ending = Ending.OVERLOADED if code == "overloaded" else Ending.FINAL
        return ScorelessResult(row, column, ending, outcome, _seconds(result.skip.retry_after), result)
    if kind != "fault":
        return _unusable_item(row, column, "a result without an outcome")
    fault = result.fault
    if not fault.code or len(fault.code) > _LONGEST_CODE or not fault.code.isprintable():
        return _unusable_item(row, column, f"a fault with the code {fault.code[:40]!r}")
    party = Party(fault.party) if Party.NONE < fault.party <= Party.CALLER else Party.SERVICE
    wait = _seconds(fault.retry_after) if fault.HasField("retry_after") else None
    outcome = ClientOutcome(Outcome.FAULT, fault.code, party, fault.message, fault.retryable, wait)
    ending = Ending.RETRYABLE if fault.retryable else Ending.FINAL
    if party is Party.CALLER and fault.code == "digest_mismatch":
        ending = Ending.WRONG_VERSION
    elif party is Party.CALLER and fault.code in REFUSAL_CODES and not fault.retryable:
        ending = Ending.REFUSED
    return ScorelessResult(row, column, ending, outcome, wait or 0.0, result)


def _seconds(duration: Duration) -> float:
    return bounded_delay(float(duration.seconds) + duration.nanos * 1e-9)
