"""Items that a response recommends, one a line (Rank-GRPO)."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from reward_servers import ItemLimits, Options, Reference, Rollout, Score, verifier
from reward_servers.engines import retrieval
from reward_servers.engines.published import list_hits, read_items
from reward_servers.engines.text import visible

Work = tuple[str, int]
_SHOWN_RANKS = 100


class RecommendationReference(Reference):
    """The items that the user chose, those the user knows, and the catalogue."""

    wanted: list[Work] = Field(min_length=1, description="Titles and years that the user took.")
    catalogue: list[Work] = Field(min_length=1, description="Titles and years that exist.")
    seen: list[str] = Field(
        default_factory=list, description="Titles that the user knows; recommending them is no hit."
    )


class RecommendationOptions(Options):
    """The list that was asked for."""

    length: int = Field(20, ge=1, le=1000, description="Items that were asked for.")
    year_tolerance: int = Field(2, ge=0, le=10, description="Years that an item may be off.")


@verifier(
    "recommendation",
    version="2",
    limits=ItemLimits(response_bytes=1 << 19),
    aspects=dict.fromkeys(("hits", "listed", "recall", "ndcg"), 0.0),
)
def recommendation(rollout: Rollout, ref: RecommendationReference, options: RecommendationOptions) -> Score:
    """How well a list of `Title (Year)` lines meets what a user took: nDCG of the hits.

    The aspects `rank_1`, `rank_2`, ... say of each place of the list, up to 100, whether it is a hit: the input
    `item_rewards` of the method `rank_grpo`. Source: Rank-GRPO, yaochenzhu/Rank-GRPO libs/metrics_align.py @0808d82c,
    for what is a hit.
    """
    text = visible(rollout.response, rollout.reasoning_marks).text
    items = read_items(text)
    if not items:
        no_hits = dict.fromkeys(("hits", "listed", "recall", "ndcg"), 0.0) | _by_rank([0.0] * options.length)
        return Score(None, "no_answer", aspects=no_hits, note="no line of the form `Title (Year)`")
    hits = list_hits(
        items,
        ref.wanted,
        catalogue=set(ref.catalogue),
        seen_titles=set(ref.seen),
        length=options.length,
        year_tolerance=options.year_tolerance,
    )
    possible = [1.0] * len(ref.wanted)
    aspects = {
        "hits": sum(hits),
        "listed": float(min(len(items), options.length)),
        "recall": retrieval.recall(hits, possible, options.length),
        "ndcg": retrieval.ndcg(hits, possible, options.length),
    } | _by_rank(hits)
    listed = [f"{title} ({year})" for title, year in items[: options.length]]
    return Score(aspects["ndcg"], aspects=aspects, evidence={"items": listed, "hits": hits})


def _by_rank(hits: Sequence[float]) -> dict[str, float]:
    return {f"rank_{rank}": hit for rank, hit in enumerate(hits[:_SHOWN_RANKS], 1)}
