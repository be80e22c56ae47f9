"""Whether what a response states follows from its documents, cited or not (RAGAS, RARG, reports on retrieval)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from pydantic import Field

from reward_servers import Context, DatasetError, ItemLimits, Rollout, Score, Verdict, verifier
from reward_servers.core import PromptContext
from reward_servers.engines.citations import Statement
from reward_servers.engines.text import visible
from reward_servers.verifiers._composing import replies_to
from reward_servers.verifiers._support import Asking, AskingOptions, citation_evidence, report_of

_RELEVANT = (
    "The statement in the response answers the question in the prompt, or tells what a reader needs for its answer. A "
    "statement on something else does not, however true it is."
)


# A response without statements has no share of supported ones.
_NOTHING: Mapping[str, float | None] = {
    **dict.fromkeys(("faithfulness", "relevance", "relevant")),
    **dict.fromkeys(("claims", "supported", "attempted", "confident_unsupported", "asked"), 0.0),
}


class FaithfulnessOptions(AskingOptions):
    """What the score is, and who is asked."""

    measure: Literal["faithfulness", "relevance", "product"] = Field(
        "faithfulness",
        description="Share of the statements that the documents support, that help to answer the prompt, or both "
        "shares multiplied. The judge is asked about relevance only where it counts.",
    )
    confident_below: float = Field(
        0.5, gt=0, le=1, description="Faithfulness below which an answer that was tried is confident and unsupported."
    )
    no_documents: Literal["unsupported", "fault"] = Field(
        "unsupported",
        description="What a rollout without any document is: one whose statements nothing supports, or a fault of the "
        "data, for data sets that bring the documents along.",
    )


async def _relevant(
    rollout: Rollout, claims: list[Statement], options: FaithfulnessOptions, ctx: Context
) -> list[bool] | Score:
    """Which statements help to answer the prompt; the floor where the response made the judge fail.

    Raises:
        FaultError: Some question got no verdict.
    """

    async def ask(place: int, claim: Statement) -> Verdict:
        about = PromptContext(rollout.prompt_context.group_id, rollout.prompt)
        claim_rollout = Rollout(" ".join(claim.prose.split()), about, f"{rollout.rollout_id}#relevance{place}")
        return await ctx.score(
            "judge", claim_rollout, options={"criteria": _RELEVANT, "show_reference": False, **options.ask}
        )

    replies = await replies_to({str(place + 1): ask(place, claim) for place, claim in enumerate(claims)})
    stopped = replies.stop("questions about relevance")
    return stopped or [replies.verdicts[str(place + 1)].score >= options.min_support for place in range(len(claims))]


@verifier(
    "faithfulness",
    version="5",
    deterministic=False,
    concurrency=512,
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 20),
    aspects=_NOTHING,
)
async def faithfulness(rollout: Rollout, options: FaithfulnessOptions, ctx: Context) -> Score:
    """Share of a response's statements that its documents support together, whether it cites them or not.

    The judge is not asked about statements that the words refute. Sources: RAGAS (arXiv 2309.15217) for faithfulness;
    RARG (arXiv 2403.14952), whose use of evidence is this share; Retrieval Improvements Do Not Guarantee Better
    Answers, for confident answers without support. Relevance by a judge, statement by statement, is our own.
    """
    if not any(map(str.isalnum, visible(rollout.response, rollout.reasoning_marks).text)):
        return Score.floor("no_answer", "there is no text")
    if not rollout.documents and options.no_documents == "fault":
        raise DatasetError("documents: there are none; give them, or set the option no_documents = 'unsupported'")
    words = await ctx.score("citation", rollout, options={"gates": [], "full_evidence": True})
    evidence = citation_evidence(words)
    if isinstance(evidence, Score):
        return evidence
    report = report_of(evidence)
    claims = report.claims
    if not claims:
        floor = Score.floor("no_statements", "it states nothing that could be supported")
        return replace(floor, aspects={**_NOTHING, "attempted": float(not evidence["abstains"])})
    asking = Asking(rollout, options, ctx, claims)
    everything = frozenset(document.id for document in rollout.documents)
    questions = [(place, everything) for place in range(len(claims))]
    stopped = await asking.settle(questions)
    if stopped is not None:
        return stopped
    relevant = None if options.measure == "faithfulness" else await _relevant(rollout, claims, options, ctx)
    if isinstance(relevant, Score):
        return relevant
    supported = [asking.known[question] for question in questions]
    faithful = sum(supported) / len(claims)
    on_topic = None if relevant is None else sum(relevant) / len(claims)
    value = faithful if on_topic is None else on_topic if options.measure == "relevance" else faithful * on_topic
    return Score(
        value,
        aspects={
            "faithfulness": faithful,
            "relevance": on_topic,
            "claims": float(len(claims)),
            "supported": float(sum(supported)),
            "relevant": None if relevant is None else float(sum(relevant)),
            "attempted": 1.0,
            "confident_unsupported": float(faithful < options.confident_below),
            "asked": float(asking.asked + len(relevant or ())),
        },
        evidence={
            "support": f"by {options.by}",
            "statements": [
                {
                    "text": claim.text,
                    "supported": holds,
                    **({"refuted": asking.refuted[place, everything]} if (place, everything) in asking.refuted else {}),
                    **({} if relevant is None else {"relevant": relevant[place]}),
                }
                for place, (claim, holds) in enumerate(zip(claims, supported, strict=True))
            ],
        },
        feedback={"not_supported": [claim.text for claim, holds in zip(claims, supported, strict=True) if not holds]},
    )
