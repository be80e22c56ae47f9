"""`RewardClient`: the face of the client whose methods wait for the result."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import Self, TypeVar

from trainer_client._client.base import BaseClient, combined_at_once, require_rollout, table_or_raise
from trainer_client._errors import ClientClosedError
from trainer_client._session.sinks import ScoringJob, ThreadSink
from trainer_client._session.stream import GroupStream, StreamItem, grouped
from trainer_client._session.tracing import current_trace
from trainer_client.result.batch import Labels
from trainer_client.result.rollout_result import RolloutResult
from trainer_client.result.table import ScoreTable
from trainer_client.result.verifiers import VerifierInfo, Wait
from trainer_client.rollout.types import Rollout, as_rollouts

_T = TypeVar("_T")
_THREADS = ThreadSink()


class RewardClient(BaseClient):
    """Scores rollouts on reward servers by a recipe; methods wait for the result.

    May be used from any thread, in a forked process, and pickled with its state.

    Args:
        recipe: the rewards and the method: a recipe, or the path of one.
        endpoints: where the servers are: ``"host:port"``, several of them for replicas, or a mapping from the names
            of the recipe's servers to either. ``"local"``: the client starts what the recipe needs on this host, at
            first use, and ends it with itself. Left out: what the recipe says.
        pin: keep to the versions of verifiers first met, so that none changes during a run.
        batching: how work is cut into calls.
        retries: when items are sent again.
        tls: files for encrypted connections.
        token: bearer token for servers that ask for one, or ``"file:PATH"``, read again whenever a replica is asked
            what it is. Never sent unencrypted to another host.

    Raises:
        RecipeError: the recipe cannot be used, or an address is none.
        ServerUnavailableError: ``"local"``, and the servers are not installed here.
        OSError: a file cannot be read.
    """

    _order: ScoringJob | None = None

    def score(
        self, rollouts: Iterable[Rollout], *, run: str = "", step: int | None = None, seed: int = 0
    ) -> ScoreTable:
        """Score a batch in which every group is complete.

        Args:
            rollouts: the batch.
            run: name of the training run, for the servers' logs.
            step: training step, for logs and for what follows it; 0 unless given, and to be given where a number of
                the recipe follows it.
            seed: seed of verifiers that draw random numbers. The seed of an item follows from it and the rollout's id.

        Raises:
            IncompleteBatchError: more scores are missing than the recipe tolerates; carries the table.
            RequestRejectedError: a server refuses what it is asked.
            RecipeError: it is not known where a server is.
            RolloutError: two rollouts have one id, or those of a group different prompts.
        """
        labels = Labels(run, self._step(step), seed, current_trace())
        batch = as_rollouts(rollouts)
        table = waited(self._core.score(batch, self._recipe, labels, self._kept))
        return combined_at_once(table, batch, labels, self._recorder)

    def stream(
        self,
        rollouts: Iterable[StreamItem],
        *,
        group_size: int | None = None,
        window: int = 4096,
        run: str = "",
        step: int | None = None,
        seed: int = 0,
    ) -> Generator[ScoreTable, None, None]:
        """Score rollouts as they come, and yield a table for each group as it completes.

        Args:
            rollouts: single rollouts, or lists that each hold all rollouts of a prompt. A sequence of rollouts is
                taken as a batch whose groups are all in it.
            group_size: rollouts of a complete group, for single ones; left out, groups complete when the input ends.
            window: rollouts under way, at most; the input is read no further meanwhile.
            run: see `score`, as for ``step`` and ``seed``.
            step: see `score`.
            seed: see `score`.

        Yields:
            Tables of one group each. An estimator that needs the whole batch refuses them; join them by
            ``ScoreTable.concat``.

        Raises:
            RequestRejectedError: a server refuses what it is asked.
            RolloutError: rollouts do not fit together.
        """
        ready: queue.SimpleQueue[ScoreTable | BaseException] = queue.SimpleQueue()
        space = threading.Event()
        order = ScoringJob(self._recipe, Labels(run, self._step(step), seed, current_trace()))
        by_group = waited(self._core.judges_groups(self._recipe))
        progress, taking = space.set, self._taking
        stream = GroupStream(
            self._core.submit, self._core.given_up, order, self._kept, group_size, by_group, ready.put, progress, taking
        )
        yielded = 0
        try:
            for item in grouped(rollouts):
                stream.add(item)
                while stream.open >= window:
                    space.clear()
                    if stream.open >= window:
                        space.wait()
                while not ready.empty():
                    yielded += 1
                    yield table_or_raise(ready.get())
            stream.finish()
            while yielded < stream.started:
                yielded += 1
                yield table_or_raise(ready.get())
        finally:
            stream.abandon()

    def submit(
        self,
        rollout: Rollout,
        *,
        group_size: int | None = None,
        run: str = "",
        step: int | None = None,
        seed: int = 0,
    ) -> concurrent.futures.Future[RolloutResult]:
        """Score one rollout; it travels with others that are submitted at about the same time.

        Args:
            rollout: the rollout. Only weights and gates of the recipe are applied; advantages need groups.
            group_size: rollouts of the complete group, which is sent when the last has come. Needed, with the
                rollout's ``group_id``, where a verifier judges groups.
            run: see `score`, as for ``step`` and ``seed``.
            step: see `score`.
            seed: see `score`.
        """
        require_rollout(rollout)
        order, labels = self._order, (run, self._step(step), seed, current_trace())
        if order is None or order.labels != labels or order.recipe is not self._recipe:
            order = self._order = ScoringJob(self._recipe, Labels(*labels))
        future = self._core.futures.make()
        if group_size:
            self._core.assemble(order, rollout, future, _THREADS, group_size)
        else:
            self._core.submit(order, (rollout,), (future,), _THREADS)
        return future

    def waits(self) -> list[Wait]:
        """The verifiers and endpoints that open calls wait for, and the seconds since their last result.

        The longest silence comes first. To be called from another thread than the one that waits.
        """
        return waited(self._core.waits())

    def describe(self) -> Mapping[str, VerifierInfo]:
        """What the servers say of each reward's verifier.

        Raises:
            ServerUnavailableError: no replica of a server answers.
            RequestRejectedError: a server does not host the verifier.
        """
        return waited(self._core.describe(self._recipe))

    def close(self) -> None:
        """Close connections and end open calls."""
        if self._recorder is not None:
            self._recorder.close()
        if self._owns_core:
            self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def waited(future: concurrent.futures.Future[_T]) -> _T:
    """Wait; a caller that stops waiting (Ctrl-C) ends the work.

    Raises:
        BlockingCallError: in a callback, on the thread that would have to do the work.
    """
    from trainer_client._session.runtime import refuse_on_private_thread

    try:
        refuse_on_private_thread()
        return future.result()
    except concurrent.futures.CancelledError:
        raise ClientClosedError from None
    except BaseException:
        future.cancel()
        raise
    finally:
        # It holds the error, which holds this frame and those above, with all that is in them.
        del future
