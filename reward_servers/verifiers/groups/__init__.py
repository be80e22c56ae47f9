"""What the responses to one prompt have in common, or not: no reference is needed."""
