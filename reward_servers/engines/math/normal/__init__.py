"""Tree to tree: normal forms before comparison, and forms for a reader."""
