"""Instructions of a prompt that a program can check."""
