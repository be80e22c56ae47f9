"""Five methods on the same real rollouts: what each makes of a group."""
