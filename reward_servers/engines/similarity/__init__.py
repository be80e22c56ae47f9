"""How alike two texts are, by what they share: BLEU, ROUGE, error rates."""

from reward_servers.engines.similarity._overlap import bleu, error_rate, gleu, rouge, rouge_n, words

__all__ = ["bleu", "error_rate", "gleu", "rouge", "rouge_n", "words"]
