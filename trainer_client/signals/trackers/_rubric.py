"""A rubric that is rewritten, version by version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client.signals._errors import BadInput

from ._tracker import Tracker


class EvolvingRubric(Tracker):
    """Numbered versions of a rubric's items; a version never changes once it is in use.

    Attributes:
        versions: items of each version, oldest first; the first may be empty.

    Source: MPO, minnesotanlp/mpo trl/extras/mpo/__init__.py @19972d3b; the test before promotion is ours.
    """

    kind = "evolving_rubric"

    def __init__(self, items: Sequence[str] = ()) -> None:
        self.versions: list[tuple[str, ...]] = [_distinct(items)]

    @property
    def number(self) -> int:
        """Number of the version in use, from 0."""
        return len(self.versions) - 1

    @property
    def items(self) -> tuple[str, ...]:
        """Items in use."""
        return self.versions[-1]

    def promote(
        self, proposals: Sequence[Sequence[str]], *, agreement: float | None = None, before: float | None = None
    ) -> bool:
        """Put the merged proposals into use as the next version; items that repeat are taken once.

        Args:
            proposals: refined sets of items, one a case or already merged.
            agreement: of the new rubric with a frozen set of labelled cases.
            before: of the one in use; a new rubric that agrees less is not promoted.

        Returns:
            Whether it was promoted.

        Raises:
            BadInput: the proposals hold no item.
        """
        merged = _distinct([item for proposal in proposals for item in proposal])
        if not merged:
            raise BadInput("proposals: hold no item; a rubric needs one")
        if agreement is not None and before is not None and agreement < before:
            return False
        self.versions.append(merged)
        return True

    def _state(self) -> dict[str, Any]:
        return {"versions": [list(items) for items in self.versions]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.versions = [tuple(map(str, items)) for items in state["versions"]]


def _distinct(items: Sequence[str]) -> tuple[str, ...]:
    """Items in their order, without those that differ from an earlier one in blanks and case only."""
    found = {" ".join(item.split()).casefold(): item.strip() for item in reversed(items)}
    found.pop("", None)
    return tuple(found[key] for key in dict.fromkeys(" ".join(i.split()).casefold() for i in items) if key in found)
