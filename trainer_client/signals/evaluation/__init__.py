"""Evaluation: figures about a policy, a judge, a search or a data set; nothing here is an advantage.

Judges: `read_winner` and `read_item_score` read what they write, `judge_metrics` holds them against labels,
`rubric_agrees` against the label a rubric was made for. Search: `fact_coverage`, `hit_precision`, `search_metrics`.
Retrieval: `retrieval_metrics`, `faithfulness`, `answer_relevance`. Policies: `implicit_accuracy`, `win_rate`,
`coverage_report`, `alignment_gap`, `robustness`. `written_alike` compares two answers as they are written.

A figure without a case to take it from is None, never 0.
"""

from ._judges import judge_metrics, read_item_score, read_winner, rubric_agrees
from ._policies import (
    Estimate,
    alignment_gap,
    coverage_report,
    implicit_accuracy,
    mean_or_none,
    robustness,
    win_rate,
)
from ._retrieval import answer_relevance, faithfulness, retrieval_metrics
from ._search import SearchMetrics, evidence_overlap, fact_coverage, hit_precision, search_metrics
from ._written import written_alike

__all__ = [
    "Estimate",
    "SearchMetrics",
    "alignment_gap",
    "answer_relevance",
    "coverage_report",
    "evidence_overlap",
    "fact_coverage",
    "faithfulness",
    "hit_precision",
    "implicit_accuracy",
    "judge_metrics",
    "mean_or_none",
    "read_item_score",
    "read_winner",
    "retrieval_metrics",
    "robustness",
    "rubric_agrees",
    "search_metrics",
    "win_rate",
    "written_alike",
]
