"""The tail of a training step: from the last rollout to its advantage."""
