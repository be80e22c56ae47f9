"""From evaluations and rollouts to outcomes, over servers that may fail."""
