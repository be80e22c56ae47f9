"""How good an order of documents is, by their grades of relevance."""

from reward_servers.engines.retrieval._metrics import average_precision, ndcg, precision, recall, reciprocal_rank

__all__ = ["average_precision", "ndcg", "precision", "recall", "reciprocal_rank"]
