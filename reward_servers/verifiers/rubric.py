"""A rubric: weighted criteria, each decided by a judge, a pattern or another verifier, and one total score."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from reward_servers import (
    CallerError,
    Context,
    DatasetError,
    ItemLimits,
    Rollout,
    Score,
    UpstreamError,
    Verdict,
    verifier,
)
from reward_servers.engines.citations import quotes_words
from reward_servers.verifiers._composing import Replies, replies_to
from reward_servers.verifiers._judge_options import WeighingOptions
from reward_servers.verifiers._rubric_guidance import Unmet, guidance_of
from reward_servers.verifiers._rubric_model import (
    Criterion,
    RubricReference,
    RubricSettings,
    levels_of,
)
from reward_servers.verifiers._rubric_total import (
    Aggregate,
    closed_at,
    counted,
    gate_without_verdict,
    total_of,
    without_positive,
)
from reward_servers.verifiers._shown import is_empty, reader_view

_EACH_OF = "For each name, whether what it stands for is true of the response."
_QUOTE = (
    "{text}\n\nBefore the verdict, quote the words of the response that show it, word by word and between double "
    "quotation marks. Without such words it is not met."
)
_IN_ONE_CALL = 32
_PER_CHARACTERS = 500
_VERDICTS = ("accepted", "partial", "wrong")


class RubricOptions(WeighingOptions):
    """How criteria are put to the judge, and how their scores become one."""

    rubric: str = Field("", description="Name of a set of the server, such as medical or medical@3, for every prompt.")
    protocol: Literal["binary", "likert_1_10", "likert_1_5"] = "binary"
    calls: Literal["each", "batches", "one"] = Field(
        "each",
        description="A call for each criterion, for each ten of them, or one call for 32 at most. Those with choices "
        "or quote have a call of their own in any case.",
    )
    aggregate: Aggregate = Field("weighted", description="How the criteria become one score.")
    min_judged: float = Field(
        1.0, gt=0, le=1, description="Share of the weight that must have got a verdict; below it there is no score."
    )
    length_center: int = Field(2000, ge=0, description="Characters of a response from which on length costs.")
    length_penalty: float = Field(
        0.0, ge=0, le=1, description="What each 500 characters beyond that cost, as in a length-adjusted HealthBench."
    )
    length_gain: bool = Field(
        False, description="Whether what is shorter gains as much, as published: that pays for saying little."
    )
    guidance: Literal["none", "criteria", "reasons"] = Field(
        "none",
        description="Whether the feedback names the criteria that are not met, and the judge's reasons with them, for "
        "a policy that tries again.",
    )
    by_place: int = Field(
        0,
        ge=0,
        le=100,
        description="Aspects criterion_1, weight_1 and so on up to this number, beside those by name: for methods that "
        "read verdicts in columns, over rubrics that differ from prompt to prompt.",
    )

    @model_validator(mode="after")
    def _check(self) -> RubricOptions:
        if misfit := self.misfit(self.protocol):
            raise ValueError(misfit)
        if self.calls != "each" and (self.reply or self.expected):
            name = "reply" if self.reply else "expected"
            raise ValueError(f"{name}: it is for one verdict in a reply; set calls = 'each'")
        return self


class _Asking:
    """The decided criteria of one response."""

    def __init__(self, rollout: Rollout, text: str, options: RubricOptions, ctx: Context) -> None:
        self._rollout, self._text, self._options, self._ctx = rollout, text, options, ctx
        self.values: dict[str, float] = {}
        self.evidence: list[dict[str, Any]] = []
        self.replies = Replies()
        self.failed: set[str] = set()
        self.reasons: dict[str, str] = {}
        self.refused: Score | None = None

    async def decide(self, criteria: Sequence[Criterion]) -> None:
        """Decide criteria that wait for no other."""
        judged = [criterion for criterion in criteria if criterion.is_judged]
        together = [criterion for criterion in judged if not criterion.choices and not criterion.quote]
        alone = [criterion for criterion in judged if criterion.choices or criterion.quote]
        size = {"each": 1, "batches": 10, "one": _IN_ONE_CALL}[self._options.calls]
        batches = [together[at : at + size] for at in range(0, len(together), size)] + [
            [criterion] for criterion in alone
        ]
        questions_asked = [(batch, self._judge(batch)) for batch in batches]
        questions_asked += [([criterion], self._check(criterion)) for criterion in criteria if not criterion.is_judged]
        questions: dict[str, tuple[list[Criterion], Awaitable[Verdict]]] = {}
        for place, question in enumerate(questions_asked):
            name = ", ".join(criterion.id for criterion in question[0])
            # An id may hold a comma.
            questions[name if name not in questions else f"{name} ({place})"] = question
        replies = await replies_to({name: question for name, (_, question) in questions.items()})
        for name, fault in replies.faults.items():
            self.replies.faults[name] = fault
            self.failed |= {criterion.id for criterion in questions[name][0]}
        for name, verdict in replies.verdicts.items():
            if self._take(questions[name][0], verdict):
                self.replies.verdicts[name] = verdict

    async def _judge(self, batch: list[Criterion]) -> Verdict:
        judge_options = self._options.for_judge()
        criterion = batch[0]
        if len(batch) > 1:
            # One line for each criterion.
            dimensions = {f"c{at}": " ".join(each.text.split()) for at, each in enumerate(batch, 1)}
            rated = self._options.protocol.removeprefix("likert_")
            judge_options["protocol"] = "rubric" if rated == "binary" else f"ratings_{rated}"
            judge_options |= {"criteria": _EACH_OF, "dimensions": dimensions}
        elif criterion.choices:
            judge_options |= {"protocol": "grade", "criteria": criterion.text, "grades": dict(criterion.choices)}
        else:
            text = _QUOTE.replace("{text}", criterion.text) if criterion.quote else criterion.text
            judge_options |= {"protocol": self._options.protocol, "criteria": text}
        return await self._ctx.score("judge", self._rollout, options=judge_options)

    async def _check(self, criterion: Criterion) -> Verdict:
        if criterion.check is None:
            # In a worker process, for the time that a pattern may take.
            return await self._ctx.score("pattern", self._rollout, options={"pattern": criterion.pattern})
        reference = None if criterion.check.reference is None else json.dumps(criterion.check.reference).encode()
        return await self._ctx.score(
            criterion.check.verifier, self._rollout, reference=reference, options=criterion.check.options
        )

    def _take(self, batch: list[Criterion], verdict: Verdict) -> bool:
        """Note a verdict on its criteria. Whether it is a usable one."""
        evidence = {"judge" if batch[0].is_judged else "check": verdict.evidence.decode()}
        if batch[0].is_judged and verdict.code not in _VERDICTS and not verdict.code.startswith("provoked_"):
            # The judge was not asked: what it cannot be shown is the floor, and no pitfall that is not met.
            self.refused = Score.floor(verdict.code, verdict.note)
            return False
        if verdict.code == "limit" and batch[0].points < 0:
            # A response cannot avoid the cost of a pitfall by making it impossible to judge.
            self.refused = Score.floor(verdict.code, f"{batch[0].id}: {verdict.note}")
            return False
        if len(batch) > 1 and not verdict.code.startswith("provoked_"):
            scores = dict(verdict.aspects)
            for at, criterion in enumerate(batch, 1):
                self._note(criterion, self._unit(float(scores[f"c{at}"] or 0.0)), evidence)
                evidence = {"judge": f"see {batch[0].id}"}
            return True
        criterion = batch[0]
        if not 0.0 <= verdict.score <= 1.0:
            problem = f"{criterion.check.verifier if criterion.check else 'the judge'} gives {verdict.score:g}"
            self.failed.add(criterion.id)
            self.replies.faults[criterion.id] = DatasetError(
                f"reference.rubric: criterion {criterion.id}: {problem}, and a criterion has a score from 0 to 1"
            )
            return False
        if criterion.quote and criterion.is_met(verdict.score) and not self._quotes(verdict):
            self.failed.add(criterion.id)
            self.replies.faults[criterion.id] = UpstreamError(
                "the judge quotes no words of the response", code="judge_no_quote", evidence=evidence
            )
            return False
        if criterion.is_judged and self._options.guidance == "reasons":
            self.reasons[criterion.id] = json.loads(verdict.evidence)["replies"][-1]["text"]
        self._note(criterion, verdict.score, evidence)
        return True

    def _note(self, criterion: Criterion, value: float, evidence: Mapping[str, Any]) -> None:
        self.values[criterion.id] = value
        self.evidence.append({"id": criterion.id, "weight": criterion.points, "value": value, **evidence})

    def _unit(self, score: float) -> float:
        if self._options.protocol == "binary":
            return score
        low, high = map(int, self._options.protocol.removeprefix("likert_").split("_"))
        return (score - low) / (high - low)

    def _quotes(self, verdict: Verdict) -> bool:
        """Whether the judge's last reply quotes words of the response."""
        replies = json.loads(verdict.evidence)["replies"]
        return quotes_words(replies[-1]["text"], self._text)


# Where a criterion gets no verdict there is no score, unless the recipe says how much may be missing: a sum over those
# that happened to be judged would depend on the judge's load.
@verifier(
    "rubric",
    version="8",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 18),
)
class Rubric:
    """How much of a weighted list of criteria the response meets.

    Source: weighted criteria as in HealthBench (arXiv 2505.08775) and Rubrics as Rewards (arXiv 2507.17746).
    """

    def setup(self, settings: RubricSettings) -> None:
        """Take the sets."""
        self._sets = {
            name: rubric_set.rubric for name, rubric_set in settings.sets.items() if rubric_set.rubric is not None
        }

    async def score(self, rollout: Rollout, ref: RubricReference, options: RubricOptions, ctx: Context) -> Score:
        """Decide each criterion and compute one score."""
        text = reader_view(rollout, transcript=options.show_transcript, reasoning=options.show_reasoning)
        if is_empty(rollout, text, transcript=options.show_transcript, images=options.show_images):
            return Score.floor("no_answer", "the response is empty")
        criteria, set_version = self._criteria(rollout.prompt, ref, options)
        if 0 < options.by_place < len(criteria):
            raise CallerError(
                f"options.by_place: {options.by_place} places for {len(criteria)} criteria; raise it",
                code="invalid_options",
            )
        by_id = {criterion.id: criterion for criterion in criteria}
        needed = {required for criterion in criteria for required in criterion.requires}
        asking = _Asking(rollout, text, options, ctx)
        for level in levels_of(criteria):
            askable = [criterion for criterion in level if criterion.counts or criterion.id in needed]
            # A pitfall is always decided. Other criteria wait for those that they require.
            await asking.decide(
                [
                    criterion
                    for criterion in askable
                    if criterion.points < 0
                    or all(by_id[required].is_met(asking.values.get(required, 0.0)) for required in criterion.requires)
                ]
            )
        floor = asking.replies.provoked or asking.refused
        return floor or _total(rollout, criteria, set_version, asking, options, text)

    def _criteria(
        self, prompt: str, ref: RubricReference, options: RubricOptions
    ) -> tuple[tuple[Criterion, ...], dict[str, str]]:
        """The criteria, and the set that they come from.

        Raises:
            CallerError: The recipe names a set that is not there.
            DatasetError: The data set does, or gives no criteria at all.
        """
        rubric = options.rubric or ref.rubric
        if isinstance(rubric, tuple):
            return rubric, {}
        if not rubric:
            raise DatasetError("reference.rubric: give the criteria, or name a set; or set the option rubric")
        name, _, version = rubric.partition("@")
        rubric_set = self._sets.get(name)
        problem = ""
        if rubric_set is None:
            problem = f"there is no set {name!r}; this server has {', '.join(self._sets) or 'none'}"
        elif version and version != rubric_set.version:
            problem = f"set {name} is of version {rubric_set.version}, not {version}"
        if problem and options.rubric:
            raise CallerError(f"options.rubric: {problem}", code="unknown_rubric")
        if problem or rubric_set is None:
            raise DatasetError(f"reference.rubric: {problem}")
        criteria = rubric_set.by_prompt.get(prompt, rubric_set.criteria)
        if not criteria:
            raise DatasetError(f"reference.rubric: set {name} has criteria for single prompts, and none for this one")
        return criteria, {"rubric": f"{name}@{rubric_set.version}"}


def _total(
    rollout: Rollout,
    criteria: tuple[Criterion, ...],
    set_version: Mapping[str, str],
    asking: _Asking,
    options: RubricOptions,
    text: str,
) -> Score:
    """The score of the criteria.

    Raises:
        FaultError: Too much of the weight got no verdict, or a gate got none.
    """
    faults, values = asking.replies.faults, asking.values
    missing = set(asking.failed)
    for criterion in (criterion for level in levels_of(criteria) for criterion in level):
        if criterion.id not in values and not missing.isdisjoint(criterion.requires):
            missing.add(criterion.id)
    lost = sum(abs(criterion.weight) for criterion in criteria if criterion.id in missing) / sum(
        abs(criterion.weight) for criterion in criteria
    )
    unasked = {
        criterion.id: 0.0
        for criterion in criteria
        if criterion.id not in values and criterion.id not in missing and criterion.counts
    }
    counts = counted({**values, **unasked}, criteria)
    # A criterion that requires one without a verdict has no verdict either, even if the judge gave one.
    counts = {name: value for name, value in counts.items() if name not in missing}
    if faults and (
        lost > 1.0 - options.min_judged + 1e-9
        or gate_without_verdict(counts, criteria, options.aggregate)
        or without_positive(counts, criteria, options.aggregate)
    ):
        raise asking.replies.fault("criteria", f"{lost:.0%} of the weight is missing")
    total = total_of(counts, criteria, options.aggregate)
    beyond = (len(text) - options.length_center) / _PER_CHARACTERS
    total -= options.length_penalty * (beyond if options.length_gain else max(0.0, beyond))
    aspects = _aspects(criteria, counts, missing, options.by_place)
    aspects["unclipped"] = total
    if options.min_judged < 1.0:
        aspects["missing_weight"] = lost
    evidence = {
        **set_version,
        "criteria": asking.evidence,
        "not_asked": sorted(unasked),
        "missing": sorted(missing),
        "closed_at": closed_at(counts, criteria, options.aggregate),
    }
    unmet = _unmet(criteria, counts, asking.reasons) if options.guidance != "none" else None
    feedback = {} if unmet is None else guidance_of(rollout.prompt, text, unmet)
    return Score(min(1.0, max(0.0, total)), aspects=aspects, evidence=evidence, feedback=feedback)


def _aspects(
    criteria: Sequence[Criterion], counts: Mapping[str, float], missing: Collection[str], by_place: int
) -> dict[str, float | None]:
    """Values of the criteria by name, and values and weights of the first ``by_place`` by their place."""
    aspects = {
        criterion.id: counts.get(criterion.id)
        for criterion in criteria
        if criterion.id in counts or criterion.id in missing
    }
    for place in range(by_place):
        criterion = criteria[place] if place < len(criteria) else None
        aspects[f"criterion_{place + 1}"] = 0.0 if criterion is None else counts.get(criterion.id)
        aspects[f"weight_{place + 1}"] = 0.0 if criterion is None else criterion.points
    return aspects


def _unmet(criteria: Sequence[Criterion], counts: Mapping[str, float], reasons: Mapping[str, str]) -> list[Unmet]:
    """What the response misses, and what it has and should not have."""
    return [
        Unmet(criterion.id, criterion.text or criterion.id, criterion.points < 0, reasons.get(criterion.id, ""))
        for criterion in criteria
        if criterion.id in counts
        and criterion.counts
        and criterion.is_met(counts[criterion.id]) != (criterion.points > 0)
    ]
