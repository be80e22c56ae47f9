"""From callers of every kind to batches: the private loop, and what gathers single rollouts."""
