"""From the core's types to messages: results, as rows or in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.duration_pb2 import Duration

from reward_servers.core import Fault, Party, PlainVerdicts, Result, Skip, SkipReason, Step, Verdict
from trainer_client.contract.aspect_names import AspectNames
from trainer_client.contract.v1 import reward_service_pb2 as service_pb2
from trainer_client.contract.v1 import types_pb2

_PARTIES = {
    Party.DATASET: types_pb2.PARTY_DATASET,
    Party.SERVICE: types_pb2.PARTY_SERVICE,
    Party.UPSTREAM: types_pb2.PARTY_UPSTREAM,
    Party.CALLER: types_pb2.PARTY_CALLER,
}
_REASONS = {
    SkipReason.DEADLINE: types_pb2.SKIP_REASON_DEADLINE,
    SkipReason.NOT_NEEDED: types_pb2.SKIP_REASON_NOT_NEEDED,
    SkipReason.OVERLOADED: types_pb2.SKIP_REASON_OVERLOADED,
}
_UNITS = {"character": types_pb2.STEP_UNIT_CHARACTER, "token": types_pb2.STEP_UNIT_TOKEN}
_LONGEST_US = (1 << 32) - 1

Reply = service_pb2.ScoreResponse | service_pb2.ScoreStreamResponse


def duration(seconds: float) -> Duration:
    """A time in seconds as a message."""
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message


class RowPlaces:
    """Rows of a response in the order of rollouts and then of evaluations, made empty and filled as results come."""

    def __init__(self, response: service_pb2.ScoreResponse, names: Sequence[AspectNames]) -> None:
        self._add = response.results.add
        self._names = names
        self._width = len(names)
        self._places: list[types_pb2.Result] = []

    def expect(self, indices: Iterable[int]) -> None:
        """Make rows for the caller's indices of rollouts."""
        add, places = self._add, self._places
        for index in indices:
            for evaluation in range(self._width):
                place = add(index=index)
                if evaluation:
                    place.evaluation = evaluation
                places.append(place)

    def deliver(self, position: int, result: Result) -> None:
        """Fill a row."""
        fill_result(self._places[position], result, self._names[position % self._width])

    def deliver_plain(self, verdicts: PlainVerdicts) -> None:
        """Fill the rows of verdicts that have nothing but a score and a code."""
        for position, result in verdicts.results():
            self.deliver(position, result)


class Rows:
    """Results as rows, in the order in which they come."""

    def __init__(self, names: Sequence[AspectNames]) -> None:
        self._names = names
        self._width = len(names)
        self._message = service_pb2.ScoreStreamResponse()

    def __len__(self) -> int:
        """The number of results that wait to be written."""
        return len(self._message.results)

    def deliver(self, indices: Sequence[int], position: int, result: Result) -> None:
        """Take a result.

        Args:
            indices: The caller's indices of the rollouts of a call.
            position: Rollout number times evaluations, plus evaluation.
            result: The result.
        """
        rank, evaluation = divmod(position, self._width)
        row = self._message.results.add(index=indices[rank], evaluation=evaluation)
        fill_result(row, result, self._names[evaluation])

    def deliver_plain(self, indices: Sequence[int], verdicts: PlainVerdicts) -> None:
        """Take verdicts of one evaluation that have nothing but a score and a code."""
        for position, result in verdicts.results():
            self.deliver(indices, position, result)

    def write(self, message: service_pb2.ScoreStreamResponse) -> None:
        """Write what has come since the last time."""
        message.MergeFrom(self._message)
        self._message = service_pb2.ScoreStreamResponse()


class Columns:
    """Plain verdicts column by column, in the order in which they come; everything else as rows.

    Args:
        names: Names of the aspects of each evaluation.
        details: Whether what verdicts hold beside score and code is wanted; where it is not, all of them are plain.
    """

    def __init__(self, names: Sequence[AspectNames], *, details: bool = True) -> None:
        self._names = names
        self._details = details
        self._width = len(names)
        self._rows: list[types_pb2.Result] = []
        self._clear()

    def _clear(self) -> None:
        self._index: list[int] = []
        self._evaluation: list[int] = []
        self._score: list[float] = []
        self._code: list[int] = []
        self._codes: dict[str, int] = {}
        self._queue_us: list[int] = []
        self._run_us: list[int] = []
        self._cpu_us: list[int] = []
        self._cached: list[bool] = []

    def __len__(self) -> int:
        """The number of results that wait to be written."""
        return len(self._index) + len(self._rows)

    def deliver(self, indices: Sequence[int], position: int, result: Result) -> None:
        """Take a result.

        Args:
            indices: The caller's indices of the rollouts of a call.
            position: Rollout number times evaluations, plus evaluation.
            result: The result.
        """
        rank, evaluation = divmod(position, self._width)
        outcome, usage = result.outcome, result.usage
        is_plain = type(outcome) is Verdict and (outcome.plain or not self._details)
        if not (is_plain and type(outcome) is Verdict and (usage is None or usage.is_local)):
            row = types_pb2.Result(index=indices[rank], evaluation=evaluation)
            fill_result(row, result, self._names[evaluation], details=self._details)
            self._rows.append(row)
            return
        self._index.append(indices[rank])
        self._evaluation.append(evaluation)
        self._score.append(outcome.score)
        self._code.append(self._codes.setdefault(outcome.code, len(self._codes)))
        self._queue_us.append(result.queue_us)
        self._run_us.append(result.run_us)
        self._cpu_us.append(usage.cpu_us if usage is not None else 0)
        self._cached.append(result.cached)

    def deliver_plain(self, indices: Sequence[int], verdicts: PlainVerdicts) -> None:
        """Take verdicts of one evaluation that have nothing but a score and a code."""
        width, positions = self._width, verdicts.positions
        count = len(positions)
        if isinstance(positions, range):
            self._index += indices[positions.start // width : positions.start // width + count]
        else:
            self._index += [indices[position // width] for position in positions]
        self._evaluation += [positions[0] % width] * count
        self._score += verdicts.scores
        places = self._codes
        self._code += [places.setdefault(code, len(places)) for code in verdicts.codes]
        self._queue_us += verdicts.queue_us
        self._run_us += verdicts.run_us
        self._cpu_us += verdicts.cpu_us or [0] * count
        self._cached += [False] * count

    def write(self, message: Reply) -> None:
        """Write what has come since the last time."""
        message.results.extend(self._rows)
        self._rows = []
        if not self._index:
            return
        columns = message.columns
        columns.index.extend(self._index)
        columns.score.extend(self._score)
        columns.code.extend(self._code)
        columns.codes.extend(self._codes)
        columns.queue_us.extend(_bounded(self._queue_us))
        columns.run_us.extend(_bounded(self._run_us))
        if any(self._evaluation):
            columns.evaluation.extend(self._evaluation)
        if any(self._cpu_us):
            columns.cpu_us.extend(_bounded(self._cpu_us))
        if any(self._cached):
            columns.cached.extend(self._cached)
        self._clear()


def _bounded(times: list[int]) -> list[int]:
    """Times that fit into their column."""
    return times if max(times) <= _LONGEST_US else [min(duration, _LONGEST_US) for duration in times]


def fill_result(message: types_pb2.Result, result: Result, names: AspectNames, *, details: bool = True) -> None:
    """Fill the message of one result, all but which item it belongs to, and the details of a verdict where unwanted."""
    message.queue_us = result.queue_us if result.queue_us < _LONGEST_US else _LONGEST_US
    message.run_us = result.run_us if result.run_us < _LONGEST_US else _LONGEST_US
    if result.cached:
        message.cached = True
    outcome = result.outcome
    if isinstance(outcome, Verdict):
        verdict = message.verdict
        verdict.score = outcome.score
        verdict.code = outcome.code
        if details and not outcome.plain:
            _fill_details(verdict, outcome, names)
    elif isinstance(outcome, Fault):
        _fill_fault(message.fault, outcome)
    else:
        _fill_skip(message.skip, outcome)
    usage = result.usage
    if usage is not None and (usage.cpu_us or not usage.is_local):
        message.usage.cpu_us = usage.cpu_us
        if not usage.is_local:
            message.usage.upstream_calls = usage.upstream_calls
            message.usage.input_tokens = usage.input_tokens
            message.usage.output_tokens = usage.output_tokens
            message.usage.cost = usage.cost


def _fill_details(message: types_pb2.Verdict, verdict: Verdict, names: AspectNames) -> None:
    for name, value in verdict.aspects:
        names.write(message, name, value)
    for step in verdict.steps:
        _fill_step(message.steps.add(), step)
    if verdict.note:
        message.note = verdict.note
    if verdict.evidence:
        message.evidence_json = verdict.evidence
    if verdict.feedback:
        message.feedback_json = verdict.feedback


def _fill_step(message: types_pb2.StepScore, step: Step) -> None:
    message.message, message.start, message.end = step.message, step.start, step.end
    message.unit = _UNITS.get(step.unit, types_pb2.STEP_UNIT_UNSPECIFIED)
    if step.score is not None:
        message.score = step.score


def _fill_fault(message: types_pb2.Fault, fault: Fault) -> None:
    message.party = _PARTIES[fault.party]
    message.code, message.message, message.retryable = fault.code, fault.message, fault.retryable
    if fault.retry_after is not None:
        message.retry_after.CopyFrom(duration(fault.retry_after))
    if fault.evidence:
        message.evidence_json = fault.evidence


def _fill_skip(message: types_pb2.Skip, skip: Skip) -> None:
    message.reason = _REASONS[skip.reason]
    if skip.retry_after is not None:
        message.retry_after.CopyFrom(duration(skip.retry_after))
