"""Orders and choices of documents and items: reranking, relevance scores, recommendation."""
