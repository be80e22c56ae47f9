"""Toward Evaluative Thinking: Meta Policy Optimization with Evolving Reward Models (MPO).

MPO (arXiv 2504.20157); minnesotanlp/mpo trl/extras/mpo, trl/trainer/mpo_trainer.py @19972d3b.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer_client.signals.authoring import (
    BoolArray,
    Case,
    FloatArray,
    Input,
    InputError,
    Laws,
    OptionError,
    Paper,
    Request,
    Signal,
    SignalBatch,
    golden,
    register,
)
from trainer_client.signals.parts.state import Tracker

PAPER = Paper("mpo", __doc__, provenance="code")

_RUBRIC_VERSIONS = Input("rubric_versions", "N", "int", "version of the rubric that a row was scored by")

_SCORE = re.compile(r"<score>(.*?)</score>", re.DOTALL)

_FRACTION = re.compile(r"\s*([-+]?\d+(?:\.\d*)?)\s*/\s*(\d+(?:\.\d*)?)\s*")

_DROPPED = ("\n", "\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$")

_UNIT = "\\text{ "

_SHORT_ROOT = re.compile(r"\\sqrt([^{])")

_RATIO = re.compile(r"([-+]?\d+)/([-+]?\d+)")


def _one_version_a_prompt(inputs: dict[str, Any]) -> None:
    if "rubric_versions" in inputs:
        inputs["rubric_versions"] = inputs["groups"] % 3


@register(
    "mpo",
    paper=PAPER,
    needs="state",
    inputs=("components",),
    optional=("groups", _RUBRIC_VERSIONS),
    formula="r = sum of the rubric items' scores; every N batches ask for a better rubric",
    laws=Laws(options={"every": 1}, prepare=_one_version_a_prompt),
)
class MPO(Tracker):
    """MPO: the score of a rubric whose items are rewritten as training goes on.

    Columns of ``components`` are the items of the rubric; a row with an item missing is left out (the release counts it
    as 0). Every ``every`` batches requests of kind ``refine_rubric`` name ``each`` rows from the low, the middle and
    the high third of the rewards, for a meta-judge; `EvolvingRubric` keeps what it makes of them. Scores of
    two ``rubric_versions`` in a group are refused, since no advantage may mix them.
    """

    kind = "mpo"

    def __init__(self, *, every: int = 10, each: int = 2, seed: int = 0) -> None:
        if every < 1 or each < 1:
            raise OptionError(f"mpo: every = {every} and each = {each} must be at least 1")
        self.every, self.each, self.seed = every, each, seed
        self.batches = 0

    def __call__(self, batch: SignalBatch) -> Signal:
        """Rewards, and cases for the meta-judge when it is time."""
        _one_version(batch)
        complete = batch.components_given.all(1) & batch.valid
        rewards = np.where(complete, batch["components"].sum(1), 0.0)
        self.batches += 1
        requests = self._cases(rewards, complete) if self.batches % self.every == 0 else []
        unread = int((batch.valid & ~complete).sum())
        return batch.signal(
            rewards=rewards, keep=complete | ~batch.valid, requests=requests, report={"mpo/unread": unread}
        )

    def _cases(self, rewards: FloatArray, complete: BoolArray) -> list[Request]:
        rows = np.flatnonzero(complete)
        ordered = rows[np.argsort(rewards[rows], kind="stable")]
        draws = np.random.default_rng((self.seed, self.batches))
        chosen = [row for part in np.array_split(ordered, 3) for row in draws.permutation(part)[: self.each].tolist()]
        return [Request(row, "refine_rubric", {"score": float(rewards[row])}) for row in sorted(chosen)]

    def _state(self) -> dict[str, Any]:
        return {"batches": self.batches}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.batches = int(state["batches"])


def _one_version(batch: SignalBatch) -> None:
    """Refuse groups whose rows were scored by different rubrics."""
    if "rubric_versions" not in batch or "groups" not in batch:
        return
    valid, groups = batch.taken()
    versions = batch["rubric_versions"][valid]
    mixed = np.flatnonzero(groups.min(versions) != groups.max(versions))
    if mixed.size:
        label = groups.labels.tolist()[int(mixed[0])]
        raise InputError(f"rubric_versions: prompt {label!r} was scored by several; score its rows by one")


def read_item_score(text: str | None) -> float | None:
    """The number within ``<score>``, a fraction such as ``4/5`` included; None when there is none that is finite.

    Source: MPO, minnesotanlp/mpo trl/extras/mpo/rm_essay_writing.py @19972d3b, which counts what it cannot read as 0.
    """
    match = _SCORE.search(text or "")
    if not match:
        return None
    fraction = _FRACTION.fullmatch(match[1])
    try:
        value = float(fraction[1]) / float(fraction[2]) if fraction else float(match[1])
    except (ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def written_alike(first: str, second: str) -> bool:
    """Whether two answers are the same string once notation is folded; no algebra, and commas count.

    Folded are spacing commands, sizes of brackets, degrees, dollars, percent, a unit in LaTeX text, a short left side
    such as ``x=``, short fractions and roots, ``a/b`` of integers, and 0.5. What cannot be folded is compared as is.

    Source: the string comparison of the MATH data set (Hendrycks et al. 2021), as MPO uses it; minnesotanlp/mpo
    trl/extras/mpo/rm_math_reasoning.py @19972d3b.
    """
    left, right = _folded(first), _folded(second)
    if left is None or right is None:
        return first == second
    return left == right


def _folded(text: str) -> str | None:
    """The folded form; None where the text is none that folding is made for."""
    for piece in _DROPPED[:2]:
        text = text.replace(piece, "")
    text = text.replace("\\\\", "\\").replace("tfrac", "frac").replace("dfrac", "frac")
    for piece in _DROPPED[2:]:
        text = text.replace(piece, "")
    if text.count(_UNIT) > 1 or text.endswith("\\sqrt"):
        return None
    text = text.partition(_UNIT)[0].replace("\\%", "").replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    left, sign, right = text.partition("=")
    if sign and "=" not in right and len(left) <= 2:
        text = right
    if not text:
        return text
    text = _braced_fractions(_SHORT_ROOT.sub(r"\\sqrt{\1}", text).replace(" ", ""))
    if text == "0.5":
        return "\\frac{1}{2}"
    ratio = _RATIO.fullmatch(text)
    if ratio and text == f"{int(ratio[1])}/{int(ratio[2])}":
        return f"\\frac{{{int(ratio[1])}}}{{{int(ratio[2])}}}"
    return text


def _braced_fractions(text: str) -> str:
    """LaTeX fractions with braces; the text as it is when a fraction lacks its parts."""
    head, *pieces = text.split("\\frac")
    built = [head]
    for part in pieces:
        if part.startswith("{"):
            built.append(part)
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            built.append(f"{{{part[0]}}}{part[1:]}")
        else:
            built.append(f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(built)


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
            InputError: the proposals hold no item.
        """
        merged = _distinct([item for proposal in proposals for item in proposal])
        if not merged:
            raise InputError("proposals: hold no item; a rubric needs one")
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
    items_by_text = {" ".join(item.split()).casefold(): item.strip() for item in reversed(items)}
    items_by_text.pop("", None)
    return tuple(
        items_by_text[key]
        for key in dict.fromkeys(" ".join(i.split()).casefold() for i in items)
        if key in items_by_text
    )


@golden("MPO rubric score")
def _(case: Case) -> Any:
    """What cannot be read, and a call that failed, are 0 in the release; with us they are missing."""
    rows = [
        [0.0] if items is None else [read_item_score(item) or 0.0 for item in items]
        for items in case.inputs["evaluations"]
    ]
    return [float(sum(items)) for items in rows]


@golden("MPO answer check")
def _(case: Case) -> Any:
    return [written_alike(case.inputs["a"], case.inputs["b"])]
