"""Where the answer is in a response."""
