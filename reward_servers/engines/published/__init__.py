"""Rules over text that papers publish as rewards: what a reply looks like, what it cites, names, repeats or gives away.

Each module is one paper's rules and what they need. All work on plain strings, take no model, and raise `ValueError`
where a reference cannot be used. They supply the inputs of methods of the same papers: Cobalt's `format_terms`,
Rank-GRPO's `list_hits`, CaRR's `connected_rubrics`, HiLL's `leaks_answer`, Pref-GRPO's `read_verdict` and
`read_dimensions`, GRPO-CARE's `typed_accuracy`, GRIT's `answer_tag`, `reasoning_tags`, `grounded_boxes` and
`without_repeats`, TempSamp-R1's `read_span` and `temporal_iou`.
"""

from reward_servers.engines.published._coding import FormatTerms, code_block, format_terms, repeats, unequal_places
from reward_servers.engines.published._comparing import Dimensions, read_dimensions, read_verdict
from reward_servers.engines.published._grounded import (
    answer_bleu,
    answer_tag,
    boxes_in,
    grounded_boxes,
    reasoning_tags,
    without_repeats,
)
from reward_servers.engines.published._leaks import leaks_answer
from reward_servers.engines.published._recommended import Item, list_hits, read_items
from reward_servers.engines.published._rubric_graph import RubricScore, connected_rubrics, slots_of
from reward_servers.engines.published._temporal import Span, read_span, temporal_iou
from reward_servers.engines.published._typed import AnswerType, typed_accuracy

__all__ = [
    "AnswerType",
    "Dimensions",
    "FormatTerms",
    "Item",
    "RubricScore",
    "Span",
    "answer_bleu",
    "answer_tag",
    "boxes_in",
    "code_block",
    "connected_rubrics",
    "format_terms",
    "grounded_boxes",
    "leaks_answer",
    "list_hits",
    "read_dimensions",
    "read_items",
    "read_span",
    "read_verdict",
    "reasoning_tags",
    "repeats",
    "slots_of",
    "temporal_iou",
    "typed_accuracy",
    "unequal_places",
    "without_repeats",
]
