"""The columns that TRL hands over, as rollouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client import Document, Rollout, RolloutError, ScoreTable
from trainer_client.adapters.fields import ANSWERS, read_cell, reference_of

_DOCUMENT = frozenset({"id", "text", "title", "uri"})


class Columns:
    """Makes rollouts of the columns of a data set."""

    def __init__(
        self, reference: str | Mapping[str, str] | None, task: str, group_size: int | None, token_ids: bool
    ) -> None:
        self._token_ids = token_ids
        self._reference = reference
        self._task = task
        self.group_size = group_size
        self._unread: tuple[str, ...] = ()

    def rollouts(self, label: str, arguments: Mapping[str, Any]) -> list[Rollout]:
        """The rollouts of a call.

        Args:
            label: what their names begin with.
            arguments: what TRL hands over, by name.

        Raises:
            RolloutError: a column is missing, or of another length than the prompts.
        """
        prompts, completions = arguments["prompts"], arguments["completions"]
        _check_lengths(len(prompts), arguments)
        references = self._references(len(prompts), arguments)
        tasks = arguments.get("task") or [self._task] * len(prompts)
        metadata = arguments.get("metadata") or [None] * len(prompts)
        documents = arguments.get("documents") or [()] * len(prompts)
        token_ids = (arguments.get("completion_ids") if self._token_ids else None) or [()] * len(prompts)
        groups = self._groups(prompts, references)
        return [
            Rollout(
                rollout_id=f"{label}-{row}",
                group_id=f"{label}-g{groups[row]}",
                prompt=prompts[row],
                response=completions[row],
                task=tasks[row],
                reference=references[row],
                metadata=read_cell(metadata[row]),
                token_ids=token_ids[row],
                documents=_documents(documents[row]),
            )
            for row in range(len(prompts))
        ]

    def _references(self, count: int, arguments: Mapping[str, Any]) -> Sequence[Any]:
        if isinstance(self._reference, Mapping):
            columns = {key: self._column(column, arguments) for key, column in self._reference.items()}
            return [{key: values[row] for key, values in columns.items()} for row in range(count)]
        if self._reference is not None or "reference" in arguments:
            return [reference_of(value) for value in self._column(self._reference or "reference", arguments)]
        # Data sets that were put together hold one row's answer in one column, and another's in another.
        answers = [arguments[column] for column in ANSWERS if column in arguments]
        if answers:
            right_answers = [
                next((value for value in row if value is not None), None) for row in zip(*answers, strict=True)
            ]
            return [None if value is None else {"answer": value} for value in right_answers]
        self._unread = tuple(sorted(arguments))
        return [None] * count

    def refuse_without_reference(self, table: ScoreTable) -> None:
        """Refuse a data set in which no column is the reference that a verifier needs: every row would be missing.

        Raises:
            RolloutError: it names the columns.
        """
        if self._unread and (table.codes == "missing_reference").any():
            looked_for = ", ".join(("reference", *ANSWERS))
            raise RolloutError(
                f"the data set has none of the columns {looked_for}, and a verifier needs one; it has "
                f'{", ".join(self._unread)}; say which it is: reference="COLUMN"',
                "reference",
            )

    def _column(self, column: str, arguments: Mapping[str, Any]) -> Sequence[Any]:
        if column not in arguments:
            raise RolloutError(
                f"the data set has no column {column!r}; it has {', '.join(sorted(arguments))}", "reference"
            )
        values: Sequence[Any] = arguments[column]
        return values

    def _groups(self, prompts: Sequence[Any], references: Sequence[Any]) -> list[int]:
        size = self.group_size
        if size is not None:
            if len(prompts) % size:
                raise RolloutError(
                    f"{len(prompts)} rows are no whole groups of {size}; make per_device_train_batch_size a multiple "
                    "of num_generations",
                    "group_id",
                )
            return [row // size for row in range(len(prompts))]
        numbers, number = [], 0
        for row in range(len(prompts)):
            if row and (prompts[row] != prompts[row - 1] or references[row] != references[row - 1]):
                number += 1
            numbers.append(number)
        return numbers


def _documents(cell: Any) -> list[Document]:
    """The documents of a row, without what a data set fills in where a row lacks a key.

    Raises:
        RolloutError: one is no document.
    """
    documents = []
    for item in cell or ():
        document = item if isinstance(item, Document) else read_cell(item)
        if not isinstance(document, Document):
            if not isinstance(document, Mapping) or not {"id", "text"} <= document.keys() <= _DOCUMENT:
                kinds = ", ".join(map(str, document)) if isinstance(document, Mapping) else type(document).__name__
                raise RolloutError(f"expected objects with id, text, title and uri, found {kinds}", "documents")
            document = Document(**document)
        documents.append(document)
    return documents


def _check_lengths(count: int, arguments: Mapping[str, Any]) -> None:
    for name, values in arguments.items():
        if isinstance(values, list | tuple) and len(values) != count:
            raise RolloutError(
                f"the column has {len(values)} values for {count} prompts; TRL gives one for each rollout", name
            )
