"""An asynchronous training loop: rewards while generation goes on, and groups that carry the policy they came from."""
