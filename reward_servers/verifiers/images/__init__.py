"""Pictures that a response consists of: what can be computed of them."""
